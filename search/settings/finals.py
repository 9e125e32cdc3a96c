"""Settings of the finals: which trials get there, and with how many seeds they are retrained."""

from typing import Self

from pydantic import Field, model_validator

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
    most_seeds: int | None = Field(
        None,
        ge=3,
        description="makes the finals a race: after the first `seeds`, further seeds go where they most likely show "
        "that a finalist differs from the best one, or is equivalent, up to so many for each, within the budget",
    )
    margin: float | None = Field(
        None,
        gt=0,
        description="finalists whose scores surely differ by less, in units of finals.rank_by, count as equivalent",
    )

    @model_validator(mode="after")
    def _race_has_room(self) -> Self:
        if self.most_seeds is not None and not 2 <= self.seeds < self.most_seeds:
            first = "2" if self.most_seeds == 3 else f"2 to {self.most_seeds - 1}"
            raise ValueError(
                f"most_seeds: a race begins with finals.seeds of at least 2, to see how much seeds differ, and goes "
                f"on; with most_seeds {self.most_seeds}, give finals.seeds {first}"
            )
        return self

    @property
    def last_checkpoints(self) -> int:
        """How many of a retrained model's last checkpoints its finals need."""
        return 1
