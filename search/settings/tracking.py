"""Where progress is recorded besides the run directory."""

from typing import Literal

from pydantic import Field

from model.config import Config


class TrackingConfig(Config):
    """Where progress is recorded besides the run directory."""

    wandb: Literal["auto", "online", "offline", "disabled"] = Field(
        "auto", description="auto is online if a W&B key is found, otherwise offline"
    )
    project: str = Field("babeltune", min_length=1, description="W&B project")
    entity: str | None = Field(None, description="W&B user or team; your default one unless given")
    base_url: str | None = Field(None, description="address of a W&B server of your own")
    tags: tuple[str, ...] = Field((), description="tags of every W&B run")
    notes: str | None = Field(None, description="a note on every W&B run")
    flush_seconds: float = Field(60.0, gt=0, description="how long the end of a search waits for W&B at most")
    tensorboard: bool = Field(False, description="also write TensorBoard files into the run directory")
