"""Optuna without its log messages and warnings; other logging and warning filters stay as they are."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Only errors of Optuna are logged within the block, or within the decorated function.

    Its warnings are expected here: samplers draw at random what they can't model, and CMA-ES ignores constraints.
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
