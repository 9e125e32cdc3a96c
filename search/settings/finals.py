"""Settings of the finals: which trials get there, and with how many seeds they are retrained."""

from pydantic import Field

from model.config import Config


class FinalsConfig(Config):
    """How the finalists are chosen and retrained."""

    top: int = Field(3, ge=1, description="how many finalists are retrained")
    min_distance: float = Field(
        0.1,
        ge=0,
        le=1,
        description="a trial that differs from a better finalist by less than this share of its domain in every "
        "hyperparameter is passed over while others are left; 0 passes over none",
    )
    seeds: int = Field(
        2, ge=0, description="fresh seeds to retrain each with; 0 scores the models of the search itself"
    )

    @property
    def last_checkpoints(self) -> int:
        """How many of a retrained model's last checkpoints its finals need."""
        return 1
