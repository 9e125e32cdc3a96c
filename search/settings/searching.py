"""How configurations are proposed, stopped and scheduled."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from model.config import Config
from search.record.budget import BudgetConfig
from search.samplers import SAMPLERS, SamplerSettings
from search.schedulers import SCHEDULERS, SchedulerSettings
from trainables.base.errors import did_you_mean, either, shortened
from trainables.base.metrics import Direction, Metric


class SearchConfig(Config):
    """How configurations are proposed, stopped and scheduled."""

    of_problem: ClassVar[Mapping[str, Metric]] = {}  # metrics that every report has
    _further: Mapping[str, Metric] = PrivateAttr(default_factory=dict)  # those that a configuration adds
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
    stop_when_settled: bool = Field(
        False,
        description="end before search.trials if the gain that sampler default expects of a trial is small beside "
        "the noise of a score",
    )
    budget: BudgetConfig = BudgetConfig()
    max_parameters: int | None = Field(None, ge=1, description="larger models are never proposed")
    metric: str = Field(description="the metric that compares trials")
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
        return self

    def allow(self, further: Mapping[str, Metric]) -> None:
        """Add metrics that reports have if trials are compared by them. Raises ValueError for an unknown metric."""
        self._further = dict(further)
        if self.metric not in self.metrics:
            known = list(self.metrics)
            hint = found if "did you mean" in (found := did_you_mean(self.metric, known)) else ""
            more = ", or one that `metrics` adds" if further else ""
            raise ValueError(f"search.metric: must be {either(known)}, got {shortened(self.metric)}{hint}{more}")

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """All metrics that can compare trials, by their names in reports."""
        return {**self.of_problem, **self._further}

    @property
    def direction(self) -> Direction:
        """Whether the metric is maximized or minimized."""
        return self.compared_by.direction

    @property
    def compared_by(self) -> Metric:
        """The metric that compares trials."""
        return self.metrics[self.metric]
