"""The description of a trainer: how it is started, stopped, read and used."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, JsonValue, field_validator, model_validator

from model.config import Config
from trainables.base.files import full_path
from trainables.base.kinds import Kind
from trainables.base.metrics import Direction
from trainables.base.report import TAKEN
from trainables.command.trainer_file import SUFFIXES

STEP = "{step}"  # in the names of checkpoints
LOG = "log"  # as the file of reports: what the command prints
MERGED = ("set", "resume", "translating", "environment", "reports", "outcomes")
Changes = dict[str, JsonValue]  # values by dotted path of the trainer's configuration; they may have placeholders


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r}: is not a regular expression: {error}") from None
    return pattern


class ReportsConfig(Config):
    """Where the trainer's reports are, and how they are read."""

    file: str = Field(
        "reports.jsonl",
        min_length=1,
        description="file in {folder}, or a pattern of which the newest file counts; log: what the command prints",
    )
    patterns: tuple[str, ...] = Field(
        (),
        description="regular expressions for a line, with the groups step and names of figures; a figure on a line "
        "without a step belongs to the step before; without patterns, each line is a JSON object",
    )
    entries: str | None = Field(
        None, description="key of the list of reports, if the file is one JSON value, such as log_history"
    )
    step: str = Field("step", description="in JSON: key of the step")
    names: dict[str, str] = Field({}, description="in JSON: names of figures here, by their keys there")

    @model_validator(mode="after")
    def _says_how(self) -> Self:
        for pattern in self.patterns:
            _compiled(pattern)
        if self.patterns and self.entries is not None:
            raise ValueError("entries: is for JSON; drop it, or drop patterns")
        if self.patterns and not any("step" in re.compile(each).groupindex for each in self.patterns):
            raise ValueError(r"patterns: none has a group for the step, as (?P<step>\d+)")
        return self


class OutcomesConfig(Config):
    """Regular expressions for lines that the command prints, which say how a training ended."""

    diverged: str | None = Field(None, description="the training has diverged, such as Loss: nan")
    out_of_memory: str = Field(
        "out of memory|OutOfMemoryError|can't allocate memory|std::bad_alloc", description="memory is too small for it"
    )

    @field_validator("diverged", "out_of_memory")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else _compiled(pattern)


class CommandSettings(Kind):
    """How a trainer is started, stopped, read and used. Texts may have placeholders such as {seed}."""

    python: str = Field("python", min_length=1, description="the trainer's own interpreter, as {python}")
    train: str = Field(min_length=1, description="command line that trains; it is started without a shell")
    file: str = Field("config.yaml", description="name of the file that is written as {config}: .yaml or .json")
    set: Changes = Field({}, description="values of the trainer's configuration for each training, by dotted path")
    resume: Changes = Field({}, description="further values for a training that continues from {checkpoint}")
    round: int = Field(1000, ge=1, description="steps of the trainer from one report to the next, as {round}")
    pause: Literal["stop", "target"] = Field(
        "stop",
        description="how a training pauses: the command is stopped after a report and its checkpoint; or it ends by "
        "itself at {target}, and each round is a process of its own",
    )
    reports: ReportsConfig = ReportsConfig()
    metrics: dict[str, Direction] = Field(
        {"valid_bleu": "maximize"},
        min_length=1,
        description="the figures that each report must have, for search.metric",
    )
    checkpoint: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("checkpoint-{step}",),
        description="files or folders of a checkpoint in {folder}; the first is {checkpoint}. Without {step} it is "
        "overwritten by the next one, which needs pause: target",
    )
    complete: str | None = Field(None, description="name of the file that the trainer writes last into a checkpoint")
    outcomes: OutcomesConfig = OutcomesConfig()
    translate: str = Field(min_length=1, description="command line that translates lines from standard input")
    translating: Changes = Field({}, description="values of the trainer's configuration for a translation")
    environment: dict[str, str] = Field({}, description="environment variables of all these commands")
    folder: str = Field(
        ".", validate_default=True, description="where commands are started; '.': where the search is started"
    )
    exact: bool | None = Field(
        None,
        description="whether a paused training gives the same numbers as an uninterrupted one; `command check` finds "
        "out; null: not known",
    )
    timeout_seconds: float = Field(7200, gt=0, description="the longest time without a report; then a trial fails")
    grace_seconds: float = Field(10, ge=0, description="from SIGTERM to SIGKILL, when a command is stopped")

    @model_validator(mode="before")
    @classmethod
    def _beside_the_defaults(cls, value: Any) -> Any:
        """Let what is given of these settings stand beside the trainer's own values, and not in place of them all."""
        if not isinstance(value, dict):
            return value
        merged = dict(value)
        for key in MERGED:
            default = cls.model_fields[key].default
            default = default.model_dump() if isinstance(default, BaseModel) else default
            if isinstance(value.get(key), dict):
                merged[key] = {**default, **value[key]}
        return merged

    @field_validator("folder")
    @classmethod
    def _absolute(cls, folder: str) -> str:
        return str(full_path(folder))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.file.endswith(SUFFIXES) or "/" in self.file:
            raise ValueError(f"file: {self.file!r}: is a name that ends in {', '.join(SUFFIXES)}")
        if self.in_place and self.pause == "stop":
            raise ValueError(
                "checkpoint: without {step}, the next checkpoint overwrites it; name it by {step}, or set pause: target"
            )
        for key, path in (("reports.file", self.reports.file), *(("checkpoint", each) for each in self.checkpoint)):
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{key}: {path}: is a path in {{folder}}, which the trainer writes into; name it so")
        for name in self.metrics:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in TAKEN:
                raise ValueError(f"metrics: {name!r}: can't be the name of a metric; use one such as valid_bleu")
        named = {group for pattern in self.reports.patterns for group in re.compile(pattern).groupindex}
        if self.reports.patterns and (missing := [name for name in self.metrics if name not in named]):
            raise ValueError(f"metrics: {missing[0]}: no pattern of reports has the group (?P<{missing[0]}>…)")
        return self

    @property
    def in_place(self) -> bool:
        """Whether each checkpoint overwrites the one before it."""
        return STEP not in self.checkpoint[0]
