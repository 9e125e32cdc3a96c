"""What both ways to a Ray have in common: one started here, and a cluster that is joined."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.tune import TuneError

import model
from trainables.base.ending import give_up, listen
from trainables.base.errors import UserError
from trainables.base.log import logger
from trainables.base.ray_internals import print_nothing

START_SECONDS = 120.0  # that Ray may take to start, or to join
# For each process: one thread, and no sight of a GPU that it was not given.
PROCESS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}


def start_ray(**settings: Any) -> None:
    """Call `ray.init`, which says little then and does not wait for ever. Raises what it raises."""
    late = threading.Timer(START_SECONDS, give_up, [f"Ray has not started within {START_SECONDS:g} s; nothing is lost"])
    late.daemon = True
    late.start()
    # Ray puts the driver's working directory first on its workers' path, where a file model.py of the user's would
    # stand in the way of our package. So it gets to see the one that the packages lie in.
    try:
        with chdir(Path(str(model.__file__)).parents[1]):
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    finally:
        late.cancel()
    listen()  # Ray has taken SIGTERM
    logging.getLogger("ray").setLevel(logging.ERROR)
    print_nothing()  # of what dies: the watchdog says it in a sentence


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Raises UserError where Ray itself fails in the block, such as for a lost connection."""
    try:
        yield
    except ray.exceptions.RayTaskError:  # the fault of our own code
        raise
    except (ray.exceptions.RayError, TuneError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error.__cause__, ray.exceptions.RayError):
            raise  # Tune wraps what it did not expect, such as workers that the machine had no memory for
        logger.info("Ray fails: %s", error)  # all of it, for the log of the driver
        raise UserError(f"Ray: {shortened(error)}; nothing is lost: fix it, then resume") from error


def shortened(error: Exception) -> str:
    """Its text in one line of at most 300 characters: Ray's are long."""
    return " ".join(str(error).split())[:300]
