"""How configurations are proposed, stopped and scheduled."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from search.record.budget import BudgetConfig
from search.samplers import SAMPLERS, SamplerSettings
from search.schedulers import SCHEDULERS, SchedulerSettings
from search.settings.first import BASE
from search.settings.goals import SECONDS, TRAIN_SECONDS, GoalsConfig
from search.space.domain import Scalar
from trainables.export.forms import FormName
from trainables.timing.config import SpeedConfig


class SearchConfig(GoalsConfig):
    """How configurations are proposed, stopped and scheduled."""

    sampler: Annotated[SamplerSettings, SAMPLERS] = Field(
        SAMPLERS.default, description="proposes trials: the name of a kind, or {kind, and its settings}"
    )
    scheduler: Annotated[SchedulerSettings, SCHEDULERS] = Field(
        SCHEDULERS.default,
        description="decides which trials continue at a rung: the name of a kind, or {kind, and its settings}",
    )
    trials: int | None = Field(
        20, ge=1, description="configurations to try; null: all of a grid, or as many as the budget allows"
    )
    first: tuple[str | dict[str, Scalar], ...] = Field(
        (BASE,),
        description="what is tried first: base (the trial around which the space is, or the nearest one in it), or "
        "changes of it, as [base, {model.d_model: 512}]",
    )
    where: tuple[str, ...] = Field(
        (),
        description='conditions that trials must meet, as ["model.encoder_layers >= model.decoder_layers"]: with '
        "fields of a trial, numbers, words in quotes, and, or, not, in, + - * / // %",
    )
    stop_when_settled: bool = Field(
        False,
        description="end before search.trials if the gain that sampler default expects of a trial is small beside "
        "the noise of a score",
    )
    budget: BudgetConfig = BudgetConfig()
    exportable: FormName | None = Field(
        None, description="only models that can be exported for this program are proposed, such as ctranslate2"
    )
    speed: SpeedConfig = SpeedConfig()
    max_retries: int = Field(2, ge=0, description="new starts of a trial whose process died, each from its checkpoint")
    deterministic: bool = Field(
        False,
        description="take reports in an order that follows from configuration and seed, so that a search with several "
        "trials at a time can be repeated to the last digit; trials wait for each other",
    )
    concurrency: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="trials at a time; auto: as many as there are cores and shares of GPUs for"
    )
    gpus_per_trial: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        "auto",
        description="GPUs for each trial, or a share of one; auto: as many trials on each GPU as fit, by the memory "
        "that the largest models of the space take in a short probe; 0 without a GPU",
    )
    watchdog_seconds: float | None = Field(
        None,
        gt=0,
        description="if no trial reports for so long, the search restarts from what it has; must exceed the longest "
        "epoch; null: never. A dead Ray is noticed anyway",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the proposals")

    @field_validator("first", mode="before")
    @classmethod
    def _base_or_changes(cls, first: Any) -> Any:
        for entry in first if isinstance(first, list | tuple) else ():
            if not isinstance(entry, dict) and entry != BASE:
                raise ValueError(f"{entry!r} is neither base nor changes of it, such as {{model.d_model: 512}}")
        return first

    @field_validator("gpus_per_trial")
    @classmethod
    def _whole_above_one(cls, gpus: float | str) -> float | str:
        if isinstance(gpus, float) and gpus > 1 and gpus % 1:
            raise ValueError(f"{gpus:g} is neither a share of a GPU nor a number of GPUs; use {gpus:.0f}")
        return gpus

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.deterministic and self.concurrency == "auto":
            raise ValueError("deterministic: which trials are tried depends on how many run at a time; set concurrency")
        if self.deterministic and (timed := self.budget.limits.keys() - {"epochs"}):
            raise ValueError(f"deterministic: budget.{min(timed)} depends on time; use budget.epochs")
        if self.stop_when_settled and not self.sampler.expects:
            raise ValueError(
                f"stop_when_settled: {self.sampler.kind} does not estimate gains; use sampler default, or drop it"
            )
        if self.besides:
            self._fits_goals()
        if SECONDS in (*self.besides, *self.limits) and self.speed.engine not in ("babeltune", self.exportable):
            raise ValueError(
                f"speed.engine: {self.speed.engine} can't hold every model; set exportable: {self.speed.engine}, too"
            )
        return self

    def _fits_goals(self) -> None:
        """Raises ValueError for what a search with several goals can't have."""
        if not self.sampler.fronts:
            raise ValueError(f"goals: {self.sampler.kind} looks for one best score; use sampler default, tpe or nsga2")
        if not self.scheduler.fronts:
            raise ValueError(
                f"goals: scheduler {self.scheduler.kind} stops by the score alone, so cheap models would end early; "
                "use asha_promotion or none"
            )
        if self.stop_when_settled:
            raise ValueError("stop_when_settled: compares a gain with the noise of one score; drop it, or the goals")
        if self.deterministic and TRAIN_SECONDS in self.besides:
            raise ValueError("deterministic: train_seconds depends on the machine; use another goal")
