"""Calls functions in Ray processes, for many arguments in parallel."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import ray

from trainables.base.errors import UserError

Result = TypeVar("Result")


class Remotely:
    """Calls functions, each with one core and the GPU share of a trial, in parallel in all slots."""

    def __init__(self, gpus: float):
        """gpus: for each trial; at most one is used, which is enough for a test."""
        self._remote = ray.remote(num_cpus=1, num_gpus=min(gpus, 1.0), max_retries=2)

    def put(self, value: Any) -> Any:
        """Send a value once that is an argument of many calls."""
        return ray.put(value)

    def call(
        self, function: Callable[..., Result], arguments: Mapping[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, Result]]:
        """Pairs of an argument's index and its result, as they arrive. Raises UserError, OSError."""
        remote = self._remote(function)
        asked = {remote.remote(*given): number for number, given in arguments.items()}
        waiting = list(asked)
        while waiting:
            (done,), waiting = ray.wait(waiting)
            try:
                yield asked[done], ray.get(done)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, UserError | OSError):
                    raise error.cause from None  # without Ray's traceback
                raise
