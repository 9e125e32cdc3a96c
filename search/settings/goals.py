"""What a search wants: a high score, or the best compromises between a score and costs, within limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from model.config import Config
from trainables.base.errors import did_you_mean, either, shortened
from trainables.base.metrics import Direction, Metric

PARAMETERS, SECONDS, TRAIN_SECONDS = "parameters", "seconds_per_sentence", "train_seconds"
MEMORY = "memory_mib"
WORDS = {"fastest": SECONDS, "smallest": PARAMETERS, "cheapest": TRAIN_SECONDS}
PHRASE = re.compile(r"(\w+) within (\d+(?:\.\d+)?) (\w+) of the best")
EXAMPLE = "fastest within 0.5 valid_bleu of the best"
MOST_GOALS = 3


@dataclass(frozen=True)
class ModelCost:
    """What a model costs when it is used. It is known before the model is trained, and less is better.

    Attributes:
        title: Its name for people, with its unit.
        of: A function that takes an Experiment and returns a function from a trial's configuration to the cost; or the
            name of one, as module:NAME.
        measure: Measures what `of` needs, once for a run: takes the Experiment and a console, and is a function or the
            name of one. None if nothing is measured.
        file: The file in the run directory that `measure` writes.
    """

    title: str
    of: Any
    measure: Any = None
    file: str = ""

    def is_known(self, experiment: Any) -> bool:
        """Whether the Experiment has what `of` needs."""
        return not self.file or (experiment.name is not None and (experiment.run_dir / self.file).exists())


@dataclass(frozen=True)
class Within:
    """The wish for the model that costs least among those that are nearly as good as the best."""

    cost: str
    margin: float  # in units of the metric
    metric: str


class GoalsConfig(Config):
    """What a search wants."""

    of_problem: ClassVar[Mapping[str, Metric]] = {}  # metrics that every report has
    _further: Mapping[str, Metric] = PrivateAttr(default_factory=dict)  # those that a configuration adds
    costs: ClassVar[Mapping[str, ModelCost]] = {}  # of the problem
    metric: str = Field(description="the metric that compares trials")
    goals: tuple[str, ...] = Field(
        (),
        description="several goals at once, such as [valid_bleu, -parameters]: metrics, and costs with a minus as less "
        "is better; the search looks for the best compromises, and metric is the first metric here",
    )
    goal: str | None = Field(None, description=f'a wish in words instead of goals, such as "{EXAMPLE}"')
    limits: dict[str, float] = Field(
        {}, description="the most that a model may cost, such as {parameters: 40e6}; others are never trained"
    )
    max_parameters: int | None = Field(None, ge=1, description="a short form of limits: {parameters: N}")

    @model_validator(mode="before")
    @classmethod
    def _metric_of_goals(cls, value: Any) -> Any:
        """Let `metric` be the first metric of the goals unless it is given."""
        if isinstance(value, dict) and "metric" not in value:
            wish, goals = PHRASE.fullmatch(str(value.get("goal"))), value.get("goals") or ()
            named = [wish[3]] if wish else [str(goal).removeprefix("-") for goal in goals if isinstance(goal, str)]
            if found := next((name for name in named if name not in (*cls.costs, TRAIN_SECONDS)), None):
                return {**value, "metric": found}
        return value

    @model_validator(mode="after")
    def _names_costs(self) -> Self:
        if self.goals and self.goal is not None:
            raise ValueError("goal: says in words what goals lists; drop one of them")
        names = [name.removeprefix("-") for name in self.goals]
        if self.goals and not (2 <= len(set(names)) == len(names) <= MOST_GOALS):
            raise ValueError(
                f"goals: {', '.join(self.goals)}: give two or three different ones, or metric alone for one"
            )
        if self.goals and self.metric not in names:
            raise ValueError(f"goals: lacks {self.metric}, the metric that compares trials; add it, or drop metric")
        for name, limit in self.limits.items():
            if name not in self.costs:
                known = ", ".join(self.costs) or "none here"
                raise ValueError(f"limits.{name}: is not known before training; what can be limited: {known}")
            if not limit > 0:
                raise ValueError(f"limits.{name}: {limit:g} leaves no model; give a number above 0")
        if self.max_parameters is not None and PARAMETERS in self.limits:
            raise ValueError("max_parameters: is limits.parameters, too; drop one of them")
        return self

    def allow(self, further: Mapping[str, Metric]) -> None:
        """Add metrics that reports have if trials are compared by them. Raises ValueError for an unknown metric."""
        self._further = dict(further)
        for goal in self.goals:
            self._check_goal(goal)
        if self.goal is not None:
            self._check_wish(self.goal)
        if self.metric not in self.metrics:
            known = list(self.metrics)
            hint = found if "did you mean" in (found := did_you_mean(self.metric, known)) else ""
            more = ", or one that `metrics` adds" if further else ""
            raise ValueError(f"search.metric: must be {either(known)}, got {shortened(self.metric)}{hint}{more}")

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """All metrics that can compare trials, by their names in reports."""
        return {**self.of_problem, **self._further}

    def _check_goal(self, goal: str) -> None:
        """Raises ValueError for a goal that does not exist, or whose sign is wrong."""
        name, minus = goal.removeprefix("-"), goal.startswith("-")
        known = [*self.metrics, *self.costs, TRAIN_SECONDS]
        if name not in known:
            raise ValueError(f"search.goals: {name}: is neither a metric nor a cost{did_you_mean(name, known)}")
        less = name not in self.metrics or self.metrics[name].direction == "minimize"
        if less != minus:
            better, right = ("less", f"-{name}") if less else ("more", name)
            raise ValueError(f"search.goals: {goal}: {better} is better; write {right}")

    def _check_wish(self, goal: str) -> None:
        """Raises ValueError for words that say no goal."""
        found = PHRASE.fullmatch(goal)
        if not found or found[1] not in WORDS or found[3] not in self.metrics:
            raise ValueError(
                f'search.goal: {goal!r}: is not understood; write "{EXAMPLE}", with {", ".join(WORDS)}, a number, '
                f"and one of {', '.join(self.metrics)}"
            )
        if WORDS[found[1]] not in (*self.costs, TRAIN_SECONDS):
            raise ValueError(
                f"goal: {found[1]}: {WORDS[found[1]]} is not known of these models; use {self._other_words()}"
            )
        if found[3] != self.metric:
            raise ValueError(f"search.goal: is about {found[3]}, but metric is {self.metric}; drop metric")

    def _other_words(self) -> str:
        return " or ".join(word for word, cost in WORDS.items() if cost in (*self.costs, TRAIN_SECONDS))

    @property
    def within(self) -> Within | None:
        """The wish in words, as a value."""
        found = PHRASE.fullmatch(self.goal) if self.goal else None
        return Within(WORDS[found[1]], float(found[2]), found[3]) if found else None

    @property
    def besides(self) -> tuple[str, ...]:
        """The goals besides `metric`: names of costs, or of other metrics."""
        if self.within:
            return (self.within.cost,)
        return tuple(name for goal in self.goals if (name := goal.removeprefix("-")) != self.metric)

    @property
    def most(self) -> dict[str, float]:
        """The limits, with that of the short form."""
        return self.limits | ({} if self.max_parameters is None else {PARAMETERS: float(self.max_parameters)})

    @property
    def direction(self) -> Direction:
        """Whether the metric is maximized or minimized."""
        return self.compared_by.direction

    @property
    def compared_by(self) -> Metric:
        """The metric that compares trials."""
        return self.metrics[self.metric]
