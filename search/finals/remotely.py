"""Functions called in processes of Ray, for many arguments at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import ray

from trainables.base.errors import UserError

Result = TypeVar("Result")


class Remotely:
    """Calls functions with a core, and the GPU of a trial, as often at a time as there are slots."""

    def __init__(self, gpus: float):
        """gpus: of a trial; one is enough for a model that is tested."""
        self._remote = ray.remote(num_cpus=1, num_gpus=min(gpus, 1.0), max_retries=2)

    def put(self, value: Any) -> Any:
        """A value that is an argument of many calls, sent once."""
        return ray.put(value)

    def call(
        self, function: Callable[..., Result], arguments: Mapping[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, Result]]:
        """The results by the numbers of the arguments, in the order of the answers. Raises UserError, OSError."""
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
