"""Many trials: space, searcher, scheduling, finals, evidence, tracking, report, command line.

    from search import Experiment, search

    result = search(Experiment.load("quickstart", **{"search.trials": 8}))
    print(result.ranking)
    print(result.translate(["The old man is reading a book."]))

docs/python.md says more.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api.calls import load_run, resume, search
    from search.api.result import Result
    from search.settings.experiment import Experiment
    from trainables.base.errors import UserError

__all__ = ["Experiment", "Result", "UserError", "load_run", "resume", "search"]

_PLACES = {
    "Experiment": "search.settings.experiment",
    "Result": "search.api.result",
    "UserError": "trainables.base.errors",
    "load_run": "search.api.calls",
    "resume": "search.api.calls",
    "search": "search.api.calls",
}


def __getattr__(name: str) -> Any:
    """Imported when it is first asked for: every module of this package imports this one, most need little of it."""
    if name not in _PLACES:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
