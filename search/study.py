"""The Optuna study: the truth about a search. One process writes it, each change in one transaction."""

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from search.space import Params
from trainables.errors import UserError

optuna.logging.set_verbosity(optuna.logging.WARNING)

LOCK_TIMEOUT_SECONDS = 60


@dataclass
class StudyTrial:
    """The mirror of one trial in memory."""

    number: int
    storage_id: int
    params: Params
    state: TrialState = TrialState.RUNNING
    scores: dict[int, float] = field(default_factory=dict)  # epoch (or step, see `epoch`) -> metric
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Where it has reported last: its epoch, or its step where `training.report_steps` is set."""
        return max(self.scores, default=0)

    @property
    def epochs(self) -> float:
        """Epochs trained; may be broken where reports come by steps."""
        steps = self.attrs.get("epoch_steps")
        return self.epoch / steps if steps and self.epoch % steps else self.epoch // (steps or 1)

    @property
    def running(self) -> bool:
        return self.state == TrialState.RUNNING

    @property
    def outcome(self) -> str:
        """running, completed, stopped (at a rung), diverged or failed."""
        return str(self.attrs.get("outcome", "running"))

    def passed(self, rung: int) -> bool:
        """Whether it was decided, and written, that the trial goes on after this rung."""
        return self.attrs.get(f"epoch-{rung}") == "passed"


class Study:
    """All reads come from memory; every write is one transaction of the storage, done when the call returns."""

    def __init__(self, file: Path, name: str, direction: Literal["maximize", "minimize"]):
        """Open or create the study `name` in the sqlite file. Raises UserError if the file is something else."""
        try:
            with closing(sqlite3.connect(file, timeout=LOCK_TIMEOUT_SECONDS)) as connection:
                # In WAL mode readers such as a dashboard don't lock the driver out.
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.DatabaseError as error:
            raise UserError(f"{file}: {error}; restore the study from a backup, or start a new search") from None
        engine = {"connect_args": {"timeout": LOCK_TIMEOUT_SECONDS}}
        self._storage = RDBStorage(f"sqlite:///{file}", engine_kwargs=engine)
        self.maximize = direction == "maximize"
        study = optuna.create_study(storage=self._storage, study_name=name, direction=direction, load_if_exists=True)
        self._study_id = study._study_id
        self.trials: dict[int, StudyTrial] = {
            trial.number: StudyTrial(
                number=trial.number,
                storage_id=trial._trial_id,
                params=dict(trial.params),
                state=trial.state,
                scores=dict(trial.intermediate_values),
                attrs=dict(trial.user_attrs),
            )
            for trial in study.get_trials(deepcopy=False)
        }
        self.wall_seconds = float(study.user_attrs.get("wall_seconds", 0.0))
        self.ended: str | None = study.user_attrs.get("ended")  # why nothing more was proposed, if that had a reason

    def better(self, a: float, b: float) -> bool:
        return a > b if self.maximize else a < b

    def standing(self, trial: StudyTrial) -> tuple[float, float, int]:
        """A key that sorts trials with scores best first: who came to the end or further, then by the last score."""
        score = trial.scores[trial.epoch]
        return (
            -math.inf if trial.outcome == "completed" else -trial.epoch,
            -score if self.maximize else score,
            trial.number,
        )

    def add(self, params: Params, distributions: dict[str, BaseDistribution]) -> StudyTrial:
        """A new RUNNING trial."""
        template = create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        storage_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        number = self._storage.get_trial_number_from_id(storage_id)
        assert number == len(self.trials), f"another process wrote trial {number} into the study"
        self.trials[number] = StudyTrial(number, storage_id, dict(params))
        return self.trials[number]

    def report(self, trial: StudyTrial, epoch: int, score: float) -> None:
        assert epoch > trial.epoch, f"trial {trial.number} reported {epoch} after {trial.epoch}"
        self._storage.set_trial_intermediate_value(trial.storage_id, epoch, score)
        trial.scores[epoch] = score

    def set_attr(self, trial: StudyTrial, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(trial.storage_id, key, value)
        trial.attrs[key] = value

    def finish(self, trial: StudyTrial, outcome: str, message: str = "") -> None:
        """End a trial as completed, stopped, diverged or failed; once ended it stays so.

        Optuna gets the last score of completed and stopped trials. A diverged trial is PRUNED: a sampler
        should learn from it; a failed one says nothing about its configuration.
        """
        if not trial.running:
            return
        self.set_attr(trial, "outcome", outcome)
        if message:
            self.set_attr(trial, "message", message)
        state = {"completed": TrialState.COMPLETE, "failed": TrialState.FAIL}.get(outcome, TrialState.PRUNED)
        values = [trial.scores[trial.epoch]] if trial.scores and state != TrialState.FAIL else None
        self._storage.set_trial_state_values(trial.storage_id, state, values)
        trial.state = state

    def set_wall_seconds(self, seconds: float) -> None:
        self._storage.set_study_user_attr(self._study_id, "wall_seconds", seconds)
        self.wall_seconds = seconds

    def set_ended(self, reason: str | None) -> None:
        if reason != self.ended:
            self._storage.set_study_user_attr(self._study_id, "ended", reason)
            self.ended = reason

    def history(self, distributions: dict[str, BaseDistribution]) -> list[optuna.trial.FrozenTrial]:
        """The trials as a sampler should see them, in memory."""
        frozen = []
        for trial in self.trials.values():
            value = trial.scores[trial.epoch] if trial.scores and trial.state != TrialState.FAIL else None
            frozen.append(
                create_trial(
                    state=trial.state,
                    params=trial.params,
                    distributions={path: distributions[path] for path in trial.params},
                    intermediate_values={} if trial.running else trial.scores,
                    value=None if trial.running else value,
                )
            )
        return frozen

    def close(self) -> None:
        self._storage.engine.dispose()
