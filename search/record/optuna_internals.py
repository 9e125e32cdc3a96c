"""All private names of Optuna that are used; a new version of Optuna may break them.

tests/test_study.py tests each of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def storage_id(trial: "FrozenTrial") -> int:
    """The storage's id of a trial; asking the storage by number would take a query for each trial."""
    return trial._trial_id
