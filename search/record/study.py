"""The Optuna study: the truth about a search. One process writes it, each change in one transaction."""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from search.record.attributes import Attributes, read_attributes
from search.record.journal import JournalLine
from search.record.optuna_internals import storage_id
from search.record.trial import StudyTrial, seal_of
from search.space.space import Params, SearchSpace
from trainables.base.files import unwritable
from trainables.base.metrics import Metric
from trainables.base.outcomes import Outcome
from trainables.base.sealing import RESTORE, Damaged, sealed, unsealed

# Optuna and sqlalchemy take half a second to import, and configurations name kinds that use this class.
if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from search.record.study_file import Mode

# The name of the state that Optuna is told of an outcome.
STATES = {
    Outcome.COMPLETED: "COMPLETE",
    Outcome.FAILED: "FAIL",
    Outcome.STOPPED: "PRUNED",
    Outcome.DIVERGED: "PRUNED",
    Outcome.INFEASIBLE: "PRUNED",
}
TIE = 1e-6  # of a score that one of the loss beside it outweighs
Distributions: TypeAlias = "dict[str, BaseDistribution]"  # by the path of a hyperparameter
Standing = tuple[float, float, int]  # of a trial among all, the last being its number


class Study:
    """A study: trials with their scores and outcomes, in a file or in memory.

    All reads come from memory; every write is one transaction of the storage, done when the call returns.

    A write that fails (a full disk) changes nothing, on disk or in memory, and raises UserError.

    What is asked at each report is kept up to date, so that no report costs a look at all trials: `known` has the keys
    of their configurations, `running` those that have not ended, `active` those of them that do not wait at a rung
    (`rest`), `over` those that have ended, `heirs` those with a parent, `reached` by progress those with a score there.
    """

    def __init__(self, file: Path | None, name: str, direction: Literal["maximize", "minimize"], mode: "Mode" = "new"):
        """The study `name` in the sqlite file, or in memory without one; see `study_file.py`. Raises Damaged."""
        from search.record.study_file import open_study

        self._storage, study = open_study(file, name, direction, mode)
        self.file, self.maximize = file, direction == "maximize"
        self._study_id = self._storage.get_study_id_from_name(name)
        self.trials: dict[int, StudyTrial] = {
            trial.number: StudyTrial(
                number=trial.number,
                storage_id=storage_id(trial),
                params=dict(trial.params),
                state=trial.state,
                scores=dict(trial.intermediate_values),
                attributes=read_attributes(trial.user_attrs),
                value=trial.value,
            )
            for trial in study.get_trials(deepcopy=False)
        }
        spent = study.user_attrs.get("wall_seconds", 0.0)
        self.wall_seconds = float(unsealed(spent, str(file))["seconds"] if isinstance(spent, dict) else spent)
        self.ended: str | None = study.user_attrs.get("ended")  # why nothing more was proposed, if that had a reason
        self.known: set[str] = set()
        self.running: dict[int, StudyTrial] = {}
        self.active: dict[int, StudyTrial] = {}
        self.reached: defaultdict[int, list[StudyTrial]] = defaultdict(list)
        self.over: list[StudyTrial] = []
        self.heirs: list[StudyTrial] = []
        self._least = -math.inf  # of the metric, below which the loss counts
        self._standings: dict[int, Standing] = {}
        self._ranking: list[Standing] = []
        for trial in self.trials.values():
            if "outcome" in trial.attributes.others:
                name = trial.attributes.others["outcome"]
                raise Damaged(f"{file}: trial {trial.number} has the outcome {name!r}, which there is not; {RESTORE}")
            self._note(trial)

    def _note(self, trial: StudyTrial) -> None:
        """A trial that is there now."""
        self.known.add(SearchSpace.key(trial.params))
        if trial.running:
            self.running[trial.number] = self.active[trial.number] = trial
        else:
            self.over.append(trial)
        if trial.inherited:
            self.heirs.append(trial)
        for progress in trial.scores:
            self.reached[progress].append(trial)
        self._rank(trial)

    def _rank(self, trial: StudyTrial) -> None:
        if old := self._standings.pop(trial.number, None):
            del self._ranking[bisect_left(self._ranking, old)]
        if trial.scores:
            self._standings[trial.number] = new = self.standing(trial)
            insort(self._ranking, new)

    def best(self, count: int) -> list[StudyTrial]:
        """The first by standing, best first."""
        return [self.trials[standing[-1]] for standing in self._ranking[:count]]

    def parent(self, trial: StudyTrial) -> StudyTrial | None:
        """The one from whose checkpoint it went on."""
        number = trial.attributes.parent
        return None if number is None else self.trials.get(number)

    def rest(self, trial: StudyTrial) -> None:
        """It waits at a rung; as that follows from the rungs, nothing is written."""
        self.active.pop(trial.number, None)

    def go_on(self, trial: StudyTrial) -> None:
        """It rests no longer."""
        self.active[trial.number] = trial

    def standing(self, trial: StudyTrial) -> Standing:
        """A key that sorts trials with scores best first: who came to the end or further, then by the last score."""
        ended = trial.outcome == Outcome.COMPLETED
        return -math.inf if ended else -trial.progress, -self.merit(trial, trial.progress), trial.number

    def merit(self, trial: StudyTrial, progress: int) -> float:
        """What the trial is worth at a progress: its score, signed so that more is better; -inf without a finite one.

        Where the metric has another `instead`: below its `least`, which tells nothing, minus that loss takes its place,
        which is below any score; and of equal scores the lower loss is ahead.
        """
        return self._worth(trial.scores.get(progress, math.nan), trial.losses.get(progress))

    def final(self, trial: StudyTrial) -> float:
        """As `merit`, of what Optuna was told at the end."""
        return self._worth(math.nan if trial.value is None else trial.value, trial.losses.get(trial.progress))

    def _worth(self, score: float, loss: float | None) -> float:
        if not math.isfinite(score):
            return -math.inf
        if loss is None or not math.isfinite(loss):
            return score if self.maximize else -score
        return -loss if score < self._least else score - TIE * loss

    def recall(self, lines: Iterable[JournalLine], metric: Metric) -> None:
        """Take the losses beside the scores from the lines of the journal, where the metric has another `instead`."""
        if metric.instead is None:
            return
        self._least = metric.least
        for line in lines:
            trial = self.trials.get(line.trial)
            if trial and (progress := line.report.progress(trial.unit)) in trial.scores:
                trial.losses[progress] = line.report.score(metric.instead)
        for trial in self.heirs:  # whose parents have lower numbers
            if parent := self.parent(trial):
                known = {progress: loss for progress, loss in parent.losses.items() if progress in trial.scores}
                trial.losses = known | trial.losses
        for trial in self.trials.values():
            self._rank(trial)

    def add(
        self,
        params: Params,
        distributions: Distributions,
        memory: dict[str, Any] | None = None,
        scores: dict[int, float] | None = None,
        losses: dict[int, float] | None = None,
        attributes: Attributes | None = None,
    ) -> StudyTrial:
        """Add a RUNNING trial, perhaps with scores and attributes to begin with.

        memory: what its sampler wants to find again.
        """
        from optuna.trial import TrialState, create_trial

        scores, losses = dict(scores or {}), dict(losses or {})
        attributes = replace(attributes or Attributes(), memory=memory or {})
        params = {path: as_stored(distributions[path], value) for path, value in params.items()}
        attributes = replace(attributes, seal=seal_of(params, attributes))
        template = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions={path: distributions[path] for path in params},
            intermediate_values=scores,
            user_attrs=attributes.stored(),
        )
        with self._writing():
            storage_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        number = self._storage.get_trial_number_from_id(storage_id)
        assert number == len(self.trials), f"another process wrote trial {number} into the study"
        trial = StudyTrial(number, storage_id, params, scores=scores, losses=losses, attributes=attributes)
        self.trials[number] = trial
        self._note(trial)
        return trial

    def report(self, trial: StudyTrial, progress: int, score: float, loss: float | None = None) -> None:
        """Write the score of a trial at a progress; loss: beside the score, see `recall`."""
        assert progress > trial.progress, f"trial {trial.number} reported {progress} after {trial.progress}"
        with self._writing():
            self._storage.set_trial_intermediate_value(trial.storage_id, progress, score)
        trial.scores[progress] = score
        if loss is not None:
            trial.losses[progress] = loss
        self.reached[progress].append(trial)
        self._rank(trial)

    def set_attributes(self, trial: StudyTrial, attributes: Attributes) -> None:
        """Write those that are new, one after the other in their order."""
        stored = trial.attributes.stored()
        for key, value in attributes.stored().items():
            if key not in stored or stored[key] != value:
                with self._writing():
                    self._storage.set_trial_user_attr(trial.storage_id, key, value)
                stored[key] = value
                trial.attributes = read_attributes(stored)

    def finish(self, trial: StudyTrial, outcome: Outcome, message: str = "", value: float | None = None) -> None:
        """End a trial as completed, stopped, diverged, infeasible or failed; once ended it stays so.

        Optuna gets the last score of completed and stopped trials, or `value`, where the end is judged by another
        quantity. A diverged or infeasible trial is PRUNED: a sampler should learn from it; a failed one says nothing
        about its configuration.
        """
        from optuna.trial import TrialState

        if not trial.running:
            return
        message = message or trial.attributes.message
        self.set_attributes(trial, replace(trial.attributes, outcome=outcome, message=message))
        state = TrialState[STATES[outcome]]
        if value is None and outcome not in (Outcome.FAILED, Outcome.INFEASIBLE):
            value = trial.scores.get(trial.progress)
        if value is not None and not math.isfinite(value):  # it would make the stored study unreadable
            value = None
        with self._writing():
            self._storage.set_trial_state_values(trial.storage_id, state, None if value is None else [value])
        trial.state, trial.value = state, value
        del self.running[trial.number]
        self.rest(trial)
        self.over.append(trial)
        self._rank(trial)

    def set_wall_seconds(self, seconds: float) -> None:
        """Write how long drivers have worked on it."""
        with self._writing():
            self._storage.set_study_user_attr(self._study_id, "wall_seconds", sealed({"seconds": seconds}))
        self.wall_seconds = seconds

    def set_ended(self, reason: str | None) -> None:
        """Write why the search ends; None if it goes on."""
        if reason != self.ended:
            with self._writing():
                self._storage.set_study_user_attr(self._study_id, "ended", reason)
            self.ended = reason

    @contextmanager
    def _writing(self) -> Iterator[None]:
        from optuna.exceptions import StorageInternalError

        try:
            yield
        except StorageInternalError as error:
            assert self.file, "memory can always be written"
            raise unwritable(self.file, getattr(error.__cause__, "orig", error)) from error

    def close(self) -> None:
        """Close the file."""
        from optuna.storages import RDBStorage

        if isinstance(self._storage, RDBStorage):
            self._storage.engine.dispose()


def as_stored(distribution: "BaseDistribution", value: Any) -> Any:
    """The value as it is when the study is read again: a whole number of a continuous range is a float."""
    return distribution.to_external_repr(distribution.to_internal_repr(value))
