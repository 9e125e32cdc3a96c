"""The configuration of a trial that a command trains."""

from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from trainables.base.config import TrainingConfig, TrialConfig
from trainables.base.data_config import DataConfig
from trainables.base.metric_config import Metrics
from trainables.command.description import CommandSettings
from trainables.command.placeholders import check_names, names_in
from trainables.command.presets import COMMANDS
from trainables.command.trainer_file import TrainerConfig, check_settable

NO_CHECKPOINT = ("checkpoint", "checkpoint_folder")


class CommandTraining(TrainingConfig):
    """How long a trial is trained."""

    epochs: float = Field(5, gt=0, description="rounds, each of command.round steps and with a report at its end")


class CommandConfig(TrialConfig):
    """Everything that determines one training by a command."""

    fixed = ("data", "command")
    beside = ("metrics",)
    free = ("trainer",)

    command: Annotated[CommandSettings, COMMANDS] = Field(
        COMMANDS.default, description="the trainer: the name of a known one, or {kind, and how it is started and read}"
    )
    trainer: TrainerConfig = Field(
        TrainerConfig({}), description="the trainer's own configuration, or the name of its YAML or JSON file"
    )
    data: DataConfig = DataConfig()
    training: CommandTraining = CommandTraining()
    metrics: Metrics = Field(
        Metrics({}), description="further metrics of translations of the test, by name, besides BLEU, chrF++ and TER"
    )
    seed: int = Field(1, ge=0, lt=2**31, description="seed of the training, as {seed}")

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        """Check placeholders, and paths of values that are set, against the trainer's configuration."""
        command, paths = self.command, self.trainer.paths
        templates: list[tuple[str, JsonValue, tuple[str, ...]]] = [
            ("train", command.train, NO_CHECKPOINT),
            ("set", command.set, ("config", *NO_CHECKPOINT)),
            ("resume", command.resume, ("config",)),
            ("translate", command.translate, ()),
            ("translating", command.translating, ("config",)),
            ("environment", {**command.environment}, NO_CHECKPOINT),
        ]
        for key, template, absent in templates:
            try:
                check_names(template, paths, absent)
                for path in template if isinstance(template, dict) and key != "environment" else ():
                    check_settable(self.trainer.root, path)
            except ValueError as error:
                raise ValueError(f"command.{key}: {error}") from None
        return self

    @property
    def uses_data(self) -> bool:
        """Whether the trainer gets its text from the search, by {data}."""
        command = self.command
        given: list[JsonValue] = [command.train, command.set, {**command.environment}]
        return "data" in names_in(given)
