"""Writes to a study's storage: one transaction for each call, done when the call returns."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState, create_trial

from search.record.attributes import Attributes
from search.record.trial import StudyTrial
from search.space.space import Params
from trainables.base.files import unwritable
from trainables.base.outcomes import Outcome

# The state that Optuna is given for an outcome.
STATES = {
    Outcome.COMPLETED: TrialState.COMPLETE,
    Outcome.FAILED: TrialState.FAIL,
    Outcome.STOPPED: TrialState.PRUNED,
    Outcome.DIVERGED: TrialState.PRUNED,
    Outcome.INFEASIBLE: TrialState.PRUNED,
}
Distributions: TypeAlias = dict[str, BaseDistribution]  # by the path of a hyperparameter


class StudyWriter:
    """Writes a study to Optuna's storage. A write that fails (a full disk) changes nothing and raises UserError."""

    def __init__(self, storage: BaseStorage, name: str, file: Path | None):
        """file: the storage's file; None if it is in memory."""
        self.storage, self.file = storage, file
        self.study_id = storage.get_study_id_from_name(name)

    def add_trial(
        self, params: Params, distributions: Distributions, scores: dict[int, float], attributes: Attributes
    ) -> tuple[int, int]:
        """Add a RUNNING trial. Returns its number and the storage's id of it."""
        template = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions={path: distributions[path] for path in params},
            intermediate_values=scores,
            user_attrs=attributes.stored(),
        )
        with self._transaction():
            storage_id = self.storage.create_new_trial(self.study_id, template_trial=template)
        return self.storage.get_trial_number_from_id(storage_id), storage_id

    def set_score(self, trial: StudyTrial, progress: int, score: float) -> None:
        """Write the score of a trial at a progress."""
        with self._transaction():
            self.storage.set_trial_intermediate_value(trial.storage_id, progress, score)

    def set_attribute(self, trial: StudyTrial, key: str, value: Any) -> None:
        """Write an attribute of a trial."""
        with self._transaction():
            self.storage.set_trial_user_attr(trial.storage_id, key, value)

    def end_trial(self, trial: StudyTrial, outcome: Outcome, value: float | None) -> tuple[TrialState, float | None]:
        """Write how a trial ended. Returns the state and the value that Optuna has now."""
        if value is not None and not math.isfinite(value):  # it would make the stored study unreadable
            value = None
        with self._transaction():
            values = None if value is None else [value]
            self.storage.set_trial_state_values(trial.storage_id, STATES[outcome], values)
        return STATES[outcome], value

    def set_study_attribute(self, key: str, value: Any) -> None:
        """Write an attribute of the study."""
        with self._transaction():
            self.storage.set_study_user_attr(self.study_id, key, value)

    def close(self) -> None:
        """Close the file."""
        if isinstance(self.storage, RDBStorage):
            self.storage.engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            yield
        except StorageInternalError as error:
            assert self.file, "memory can always be written"
            raise unwritable(self.file, getattr(error.__cause__, "orig", error)) from error


def as_stored(params: Params, distributions: Distributions) -> Params:
    """The values as they will be when the study is read again; for a continuous range 1 becomes 1.0."""
    return {path: _round_trip(distributions[path], value) for path, value in params.items()}


def _round_trip(distribution: BaseDistribution, value: Any) -> Any:
    return distribution.to_external_repr(distribution.to_internal_repr(value))
