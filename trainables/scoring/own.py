"""Metrics that are a function or a class of the user's."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from trainables.base.errors import UserError
from trainables.base.metric_config import NamedMetric
from trainables.base.user_code import import_callable


class OwnScorer:
    """Calls a function with sources, translations and references, or an object of a class, which is made once.

    The other settings of the metric are keyword arguments of the function, or of the class. See
    `trainables.scoring.metrics.Scorer`.
    """

    @staticmethod
    def check(key: str, settings: NamedMetric) -> None:
        """Import the user's code. Raises UserError."""
        settings.need(key)

    def __init__(self, key: str, settings: NamedMetric):
        """Import the user's code, and make the object. Raises UserError for any exception."""
        self._key, self._name, options = key, settings.kind, settings.model_extra or {}
        found = import_callable(settings.kind, key)
        self._options = {} if inspect.isclass(found) else options
        self._score: Callable[..., Any] = self._guarded(found, **options) if inspect.isclass(found) else found

    def __call__(self, sources: Sequence[str], translations: Sequence[str], references: Sequence[str]) -> Any:
        """What the user's code returns. Raises UserError for any exception."""
        return self._guarded(self._score, list(sources), list(translations), list(references), **self._options)

    def _guarded(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except Exception as error:  # the user's code may raise anything
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{self._key}: {self._name} raised {reason}; fix it, then resume") from error
