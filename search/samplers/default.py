"""The default sampler: a balanced start, then the largest expected improvement under a Gaussian process."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers.base import Proposal, Task, list_all
from search.samplers.belief import Beliefs
from search.samplers.candidates import Candidates, Value
from search.samplers.coding import Coding
from search.samplers.design import balanced_design, draw_pool
from search.samplers.evidence import ENOUGH_RUNS, Evidence, gather
from search.samplers.kind import SamplerSettings, Startup
from search.samplers.prior import Prior
from search.space.space import Params
from trainables.base.files import full_path
from trainables.base.outcomes import Outcome

if TYPE_CHECKING:  # it imports SciPy
    from search.samplers.models import CostModel, ScoreModel

LISTED = 5000  # in a space of at most so many combinations, every one is a candidate

ENOUGH_SCORES = 2  # that a model needs
MARGIN = 1e-9  # above the greatest cost, so that a point there counts


class ModelSampler:
    """Bayesian optimisation for few, costly trials, by expected improvement (Jones et al. 1998).

    On tables of real translation searches three things mattered: a short start, lengthscales that are not short, and
    taking running trials at their predicted mean; see docs/search-quality.md.
    """

    def __init__(self, task: Task, start: int, prior: Prior | None = None):
        """start: the number of trials before the model decides."""
        self._task, self._coding = task, Coding(task.space)
        self._listed = list_all(task) if task.space.size() <= LISTED else None
        self._prior = prior
        begin = balanced_design if prior is None else prior.start
        self._beliefs = Beliefs(task.space, self._coding)
        self._candidates = Candidates(task, self._coding, self._beliefs)
        self._start = self._believed_first(begin(task, start, self._listed))
        self._timed: tuple[object, CostModel | None] = (None, None)  # the trials that a model was fitted to
        self._seen: tuple[Study | None, int, Evidence | None] = (None, 0, None)  # a study, its version, its evidence
        self._fitted: tuple[object, ScoreModel | None] = (None, None)  # the evidence that a model was fitted to

    def propose(self, study: Study) -> Proposal | None:
        known = study.known | {self._task.space.key(params) for params in study.ahead}
        number = len(study.trials) + len(study.ahead)  # that the trial will have
        rng = np.random.default_rng([self._task.seed, number])
        if number < len(self._start):
            for params in self._start:
                if self._task.space.key(params) not in known:
                    return Proposal(params)
        evidence, scores = self._learnt(study)
        if scores is None:
            return self._candidates.apart(study, rng)
        gain, noise = self._improvement(study)
        value = self._preferred(gain, study)
        if self._listed is not None:
            left = [params for params in self._listed if self._task.space.key(params) not in known]
        else:
            left = self._candidates.search(value, evidence, study, known, rng)
        if not left:
            return None
        places = self._coding.places(left)
        row = int(np.argmax(value(places)))
        expected = math.exp(gain(places[row : row + 1]).item())
        return Proposal(left[row], {"gain": expected * evidence.scale, "noise": noise * evidence.scale})

    def _believed_first(self, start: list[Params]) -> list[Params]:
        """The first trials, the first of them with the values that the user believes in."""
        if not self._beliefs or not start:
            return start
        exact = self._task.accept({**start[0], **self._beliefs.values})
        first = self._beliefs.best([*([exact] if exact is not None else []), *self._pool])
        return [first, *(params for params in start[1:] if params != first)]

    def _preferred(self, gain: Value, study: Study) -> Value:
        """The value of candidates: the logarithm of the gain, per second if time is what is short, and beliefs."""
        seconds = self._seconds_of(study)
        finished = sum(trial.outcome == Outcome.COMPLETED for trial in study.over)
        weight = self._beliefs.weight(finished) if self._beliefs else 0.0
        if seconds is None and not weight:
            return gain

        def value(places: np.ndarray) -> np.ndarray:
            values = gain(places)
            if weight:
                values = values + weight * self._beliefs.log_density(places)
            if seconds is not None:
                values = values - seconds.axes([self._coding.params(place) for place in places])[0].places
            return values

        return value

    def _seconds_of(self, study: Study) -> "CostModel | None":
        """A model of the logarithm of a training's seconds, fitted once for the same trials."""
        from search.samplers.models import CostModel

        if self._task.seconds is None:
            return None
        key = study, sum(trial.outcome == Outcome.COMPLETED for trial in study.over)
        if self._timed[0] != key:
            self._timed = key, CostModel([self._task.seconds], study, self._coding)
        return self._timed[1]

    def chance_of_best(self, study: Study, trials: Sequence[StudyTrial]) -> list[float] | None:
        """The probability of each trial to end as the best; None before four trials have finished.

        It has to be above the best score so far, and above what is predicted for the other trials that run.
        """
        leading = [trial for trial in study.best(ENOUGH_RUNS) if trial.outcome == Outcome.COMPLETED]
        evidence, scores = self._learnt(study)
        if len(leading) < ENOUGH_RUNS or scores is None:
            return None
        best = evidence.scores[evidence.lead == 0].max()
        asked = {trial.number for trial in trials}
        rivals = [trial.params for number, trial in study.active.items() if number not in asked]
        if rivals:
            best = max(best, scores.predict(self._coding.places(rivals))[0].max())
        chances: list[float] = scores.chances(self._coding.places([trial.params for trial in trials]), best).tolist()
        return chances

    def _learnt(self, study: Study) -> "tuple[Evidence, ScoreModel | None]":
        """The evidence in the study and a model of it; None if there are too few scores.

        The model is fitted once for the same scores, so the decision at a rung and the proposals share it.
        """
        from search.samplers.models import ScoreModel  # imports SciPy, and reading a configuration imports this file

        known, version, evidence = self._seen
        if evidence is None or known is not study or version != study.version:
            evidence = gather(study)
            self._seen = study, study.version, evidence
        key = study, evidence.key
        if key != self._fitted[0]:
            enough = len(evidence.scores) >= ENOUGH_SCORES
            self._fitted = key, ScoreModel(evidence, self._coding, self._prior) if enough else None
        return evidence, self._fitted[1]

    def _improvement(self, study: Study) -> tuple[Value, float]:
        """The logarithm of the expected improvement of candidates; and the noise of a score.

        It is the improvement over the best score that the model predicts for a trial or, if costs count, the growth of
        the front. Both are for standardised scores. Running trials are taken at their predicted mean.
        """
        from search.samplers.gaussian_process import log_expected_improvement  # imports SciPy

        evidence, scores = self._learnt(study)
        assert scores is not None
        heights = scores.heights
        pending = self._coding.places([*evidence.pending, *study.ahead])
        scores = scores.believing(pending)
        if self._task.costs:
            heights = np.concatenate((heights, scores.predict(pending)[0]))
            return self._front_growth(scores, heights, evidence, study), scores.noise
        best = float(heights.max())

        def value(places: np.ndarray) -> np.ndarray:
            return log_expected_improvement(*scores.predict(places), best)

        return value, scores.noise

    def _front_growth(self, scores: "ScoreModel", heights: np.ndarray, evidence: Evidence, study: Study) -> Value:
        """How much candidates are expected to add to the front of these heights."""
        from search.goals.front import Cells
        from search.samplers.front_improvement import least_height, log_front_improvement
        from search.samplers.models import CostModel

        costs = CostModel(self._task.costs, study, self._coding)
        tried = costs.axes([*evidence.configurations, *evidence.pending])
        pool = costs.axes(self._pool)
        most = np.array([max(np.concatenate((a.places, b.places))) for a, b in zip(tried, pool, strict=True)])
        places = np.column_stack([axis.places for axis in tried])
        cells = Cells.of(heights, places, least_height(evidence.scores), most + MARGIN)

        def value(places: np.ndarray) -> np.ndarray:
            axes = costs.axes([self._coding.params(place) for place in places])
            return log_front_improvement(*scores.predict(places), axes, cells)

        return value

    @cached_property
    def _pool(self) -> list[Params]:
        """Valid trials from the whole space, whose greatest cost is the greatest that counts."""
        return self._listed or draw_pool(self._task, np.random.default_rng([self._task.seed, 5]))


class DefaultSettings(SamplerSettings):
    """A Gaussian process for few, costly trials."""

    believes: ClassVar[bool] = True
    expects: ClassVar[bool] = True
    foresees: ClassVar[bool] = True

    kind: Literal["default"] = "default"
    startup_trials: Startup = 3
    prior: tuple[str, ...] = Field(
        (),
        description="earlier searches to start from: run directories, or CSV tables with a column for each "
        "hyperparameter (its path or the path's last part) and one for the score (score, valid_bleu or dev_bleu; "
        "higher is better)",
    )

    per_second: bool = Field(
        True,
        description="where search.budget is in time or money, weigh the gain that is expected of a trial against the "
        "seconds that it will take",
    )

    @field_validator("prior")
    @classmethod
    def _absolute(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(full_path(path)) for path in paths)

    @property
    def sources(self) -> tuple[str, ...]:
        return self.prior

    def make(self, task: Task, prior: Prior | None = None) -> ModelSampler:
        task = task if self.per_second else replace(task, seconds=None)
        return ModelSampler(task, self.startup_trials + bool(task.costs), prior)
