"""Optuna without its own lines and warnings, in a process whose logging and filters stay as they are."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Within the block, or the function that this decorates, Optuna says errors alone.

    What its samplers can't model they draw at random, and CMA-ES has no use for constraints: both are no news here.
    """
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", message="Constraints have been set")
            yield
    finally:
        optuna.logging.set_verbosity(level)
