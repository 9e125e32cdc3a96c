"""Searches for the best model: many trials, finals, evidence, and a report.

    from search import Experiment, search

    result = search(Experiment.load("quickstart", **{"search.trials": 8}))
    print(result.ranking)
    print(result.translate(["The old man is reading a book."]))

See docs/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api.calls import compare, load_run, resume, search, train
    from search.api.result import Result
    from search.finals.items import ItemFinals
    from search.run_directory.overview import Overview, overviews
    from search.settings.experiment import Experiment
    from search.settings.problem import Curves, Problem
    from trainables.base.config import TrainingConfig, TrialConfig
    from trainables.base.errors import UserError
    from trainables.base.metrics import Metric
    from trainables.own import EpochTraining

__all__ = [
    "Curves",
    "EpochTraining",
    "Experiment",
    "ItemFinals",
    "Metric",
    "Overview",
    "Problem",
    "Result",
    "TrainingConfig",
    "TrialConfig",
    "UserError",
    "compare",
    "load_run",
    "overviews",
    "resume",
    "search",
    "train",
]

_PLACES = {
    "Curves": "search.settings.problem",
    "EpochTraining": "trainables.own",
    "Experiment": "search.settings.experiment",
    "ItemFinals": "search.finals.items",
    "Metric": "trainables.base.metrics",
    "Overview": "search.run_directory.overview",
    "Problem": "search.settings.problem",
    "Result": "search.api.result",
    "TrainingConfig": "trainables.base.config",
    "TrialConfig": "trainables.base.config",
    "UserError": "trainables.base.errors",
    "compare": "search.api.calls",
    "load_run": "search.api.calls",
    "overviews": "search.run_directory.overview",
    "resume": "search.api.calls",
    "search": "search.api.calls",
    "train": "search.api.calls",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, as every module of this package imports this file."""
    if name not in _PLACES:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
