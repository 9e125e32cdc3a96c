"""All names of Optuna that are not public, in one place: what a new version of Optuna may break.

tests/test_study.py has a test of each.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def storage_id(trial: "FrozenTrial") -> int:
    """What the storage calls a trial; to ask it for each number would be a query each."""
    return trial._trial_id
