"""The Optuna study: the source of truth of a search. One process writes it, each change in one transaction."""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from search.record.attributes import Attributes, read_attributes
from search.record.journal import JournalLine
from search.record.optuna_internals import storage_id
from search.record.trial import StudyTrial, seal_of
from search.space.space import Params, SearchSpace
from trainables.base.metrics import Metric
from trainables.base.outcomes import Outcome
from trainables.base.sealing import RESTORE, Damaged, sealed, unsealed

# Optuna and sqlalchemy take half a second to import, and configurations name kinds that use this class.
if TYPE_CHECKING:
    from search.record.study_file import Mode
    from search.record.study_writer import Distributions

TIE = 1e-6  # the weight of the loss in a score, which only breaks ties
Standing = tuple[float, float, int]  # sorts the best trials first; the last is the trial's number


class Study:
    """A study: trials with their scores and outcomes, in a file or in memory.

    All reads come from memory. Every write is one transaction of the storage, done when the call returns. A write that
    fails (a full disk) changes nothing, on disk or in memory, and raises UserError.

    Attributes that each report needs are kept up to date, so that no report looks at all trials:

    - `known`: the keys of all configurations.
    - `running`: trials that have not ended, by number; `active`: those of them that do not wait at a rung.
    - `over`: trials that have ended. `heirs`: trials with a parent.
    - `reached`: by progress, the trials with a score there.
    - `version`: rises with each new trial, score, loss or end, so that what was computed from them can be kept;
      `results` rises with scores and ends alone.
    - `ahead`: configurations that will be the next trials; a sampler that proposes now counts them as running.
    """

    def __init__(self, file: Path | None, name: str, direction: Literal["maximize", "minimize"], mode: "Mode" = "new"):
        """Open the study `name` in the sqlite file, or in memory if file is None; mode: see `study_file.py`.

        Raises Damaged.
        """
        from search.record.study_file import open_study
        from search.record.study_writer import StudyWriter

        storage, study = open_study(file, name, direction, mode)
        self.writer = StudyWriter(storage, name, file)
        self.file, self.maximize = file, direction == "maximize"
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
        times = unsealed(spent, str(file)) if isinstance(spent, dict) else {"seconds": spent}
        self.wall_seconds, self.idle_seconds = float(times["seconds"]), float(times.get("idle", 0.0))
        self.ended: str | None = study.user_attrs.get("ended")  # why the search ended early, if it did
        self.known: set[str] = set()
        self.running: dict[int, StudyTrial] = {}
        self.active: dict[int, StudyTrial] = {}
        self.reached: defaultdict[int, list[StudyTrial]] = defaultdict(list)
        self.over: list[StudyTrial] = []
        self.heirs: list[StudyTrial] = []
        self.version = self.results = 0
        self.ahead: list[Params] = []
        self._least = -math.inf  # below this score the loss decides
        self._standings: dict[int, Standing] = {}
        self._ranking: list[Standing] = []
        for trial in self.trials.values():
            if "outcome" in trial.attributes.others:
                name = trial.attributes.others["outcome"]
                raise Damaged(f"{file}: trial {trial.number} has an unknown outcome {name!r}; {RESTORE}")
            self._note(trial)

    def _note(self, trial: StudyTrial) -> None:
        """Add a trial to these attributes."""
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
        self.version += 1
        if old := self._standings.pop(trial.number, None):
            del self._ranking[bisect_left(self._ranking, old)]
        if trial.scores:
            self._standings[trial.number] = new = self.standing(trial)
            insort(self._ranking, new)

    def best(self, count: int) -> list[StudyTrial]:
        """The first `count` trials by standing, the best first."""
        return [self.trials[standing[-1]] for standing in self._ranking[:count]]

    def parent(self, trial: StudyTrial) -> StudyTrial | None:
        """The trial whose checkpoint this one started from."""
        number = trial.attributes.parent
        return None if number is None else self.trials.get(number)

    def rest(self, trial: StudyTrial) -> None:
        """Note that the trial waits at a rung. Nothing is written, as this follows from the rungs."""
        self.active.pop(trial.number, None)

    def go_on(self, trial: StudyTrial) -> None:
        """Note that the trial no longer waits."""
        self.active[trial.number] = trial

    def standing(self, trial: StudyTrial) -> Standing:
        """A key that sorts the best trials first: completed ones, then by progress, then by the last score."""
        ended = trial.outcome == Outcome.COMPLETED
        return -math.inf if ended else -trial.progress, -self.merit(trial, trial.progress), trial.number

    def merit(self, trial: StudyTrial, progress: int) -> float:
        """The trial's score at a progress, signed so that more is better; -inf without a finite score.

        If the metric has another `instead`, a loss: a score below the metric's `least` says nothing and is replaced by
        minus the loss, which is below any score; between equal scores the lower loss decides.
        """
        return self._worth(trial.scores.get(progress, math.nan), trial.losses.get(progress))

    def final(self, trial: StudyTrial) -> float:
        """Like `merit`, for the value that Optuna was given at the end."""
        return self._worth(math.nan if trial.value is None else trial.value, trial.losses.get(trial.progress))

    def _worth(self, score: float, loss: float | None) -> float:
        if not math.isfinite(score):
            return -math.inf
        if loss is None or not math.isfinite(loss):
            return score if self.maximize else -score
        return -loss if score < self._least else score - TIE * loss

    def recall(self, lines: Iterable[JournalLine], metric: Metric) -> None:
        """Read what belongs to the scores from the journal: figures, and losses if the metric has another `instead`."""
        self._least = metric.least
        self.version += 1
        for line in lines:
            trial = self.trials.get(line.trial)
            if trial and (progress := line.report.progress(trial.unit)) in trial.scores:
                trial.note(line.report)
                if metric.instead is not None:
                    trial.losses[progress] = line.report.score(metric.instead)
        if metric.instead is None:
            return
        for trial in self.heirs:  # by rising number, so a parent has its losses before its heirs
            self._inherit_losses(trial)
        for trial in self.trials.values():
            self._rank(trial)

    def _inherit_losses(self, trial: StudyTrial) -> None:
        if parent := self.parent(trial):
            known = {progress: loss for progress, loss in parent.losses.items() if progress in trial.scores}
            trial.losses = known | trial.losses

    def add(
        self,
        params: Params,
        distributions: "Distributions",
        memory: dict[str, Any] | None = None,
        scores: dict[int, float] | None = None,
        attributes: Attributes | None = None,
    ) -> StudyTrial:
        """Add a RUNNING trial.

        memory: notes of its sampler. scores: initial scores, by progress; an heir has those of its parent, and gets the
        losses that belong to them.
        """
        from search.record.study_writer import as_stored

        scores, params = dict(scores or {}), as_stored(params, distributions)
        attributes = replace(attributes or Attributes(), memory=memory or {})
        attributes = replace(attributes, seal=seal_of(params, attributes))
        number, storage_id = self.writer.add_trial(params, distributions, scores, attributes)
        assert number == len(self.trials), f"another process wrote trial {number} into the study"
        trial = StudyTrial(number, storage_id, params, scores=scores, attributes=attributes)
        self._inherit_losses(trial)
        self.trials[number] = trial
        self._note(trial)
        return trial

    def report(self, trial: StudyTrial, progress: int, score: float, loss: float | None = None) -> None:
        """Write the score of a trial at a progress. loss: belongs to the score, see `recall`."""
        assert progress > trial.progress, f"trial {trial.number} reported {progress} after {trial.progress}"
        self.writer.set_score(trial, progress, score)
        trial.scores[progress] = score
        if loss is not None:
            trial.losses[progress] = loss
        self.reached[progress].append(trial)
        self.results += 1
        self._rank(trial)

    def set_attributes(self, trial: StudyTrial, attributes: Attributes) -> None:
        """Write the attributes that changed, one after the other, in their order."""
        stored = trial.attributes.stored()
        for key, value in attributes.stored().items():
            if key not in stored or stored[key] != value:
                self.writer.set_attribute(trial, key, value)
                stored[key] = value
                trial.attributes = read_attributes(stored)

    def finish(self, trial: StudyTrial, outcome: Outcome, message: str = "", value: float | None = None) -> None:
        """End a trial as completed, stopped, diverged, infeasible or failed; does nothing if it has ended before.

        Optuna gets `value`, or the last score if that is None; failed and infeasible trials have no score. Diverged and
        infeasible trials become PRUNED, as samplers should learn from them. Failed trials become FAIL, as they say
        nothing about their configuration.
        """
        if not trial.running:
            return
        message = message or trial.attributes.message
        self.set_attributes(trial, replace(trial.attributes, outcome=outcome, message=message))
        if value is None and outcome not in (Outcome.FAILED, Outcome.INFEASIBLE):
            value = trial.scores.get(trial.progress)
        trial.state, trial.value = self.writer.end_trial(trial, outcome, value)
        del self.running[trial.number]
        self.rest(trial)
        self.over.append(trial)
        self.results += 1
        self._rank(trial)

    def set_wall_seconds(self, seconds: float, idle: float = 0.0) -> None:
        """Write how long drivers have worked on the study. idle: seconds that slots waited for their next trial."""
        self.writer.set_study_attribute("wall_seconds", sealed({"seconds": seconds, "idle": idle}))
        self.wall_seconds, self.idle_seconds = seconds, idle

    def set_ended(self, reason: str | None) -> None:
        """Write why the search ends; None if it continues."""
        if reason != self.ended:
            self.writer.set_study_attribute("ended", reason)
            self.ended = reason

    def close(self) -> None:
        """Close the file."""
        self.writer.close()
