"""Connects to Ray: shared by a Ray that is started here and a cluster that is joined."""

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

START_SECONDS = 120.0  # the longest time to start or join
# Each worker process has one thread, and sees no GPU that it was not given.
PROCESS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}


def start_ray(**settings: Any) -> None:
    """Call `ray.init` with few messages and a time limit. Raises what it raises."""
    late = threading.Timer(START_SECONDS, give_up, [f"Ray has not started within {START_SECONDS:g} s; nothing is lost"])
    late.daemon = True
    late.start()
    # Ray puts the driver's working directory first on its workers' path, where a user's file model.py would hide our
    # package. So the working directory is the one with the packages while Ray starts.
    try:
        with chdir(Path(str(model.__file__)).parents[1]):
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    finally:
        late.cancel()
    listen()  # again, as Ray has replaced the handler of SIGTERM
    logging.getLogger("ray").setLevel(logging.ERROR)
    print_nothing()  # about processes that die; the watchdog says it in a sentence


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Raises UserError if Ray itself fails in the block, such as by a lost connection."""
    try:
        yield
    except ray.exceptions.RayTaskError:  # an error in our own code
        raise
    except (ray.exceptions.RayError, TuneError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error.__cause__, ray.exceptions.RayError):
            raise  # Tune wraps unexpected errors, such as a lack of memory for workers
        logger.info("Ray fails: %s", error)  # the whole text, for driver.log
        raise UserError(f"Ray: {shortened(error)}; nothing is lost: fix it, then resume") from error


def shortened(error: Exception) -> str:
    """The error's text in one line of at most 300 characters, as Ray's are long."""
    return " ".join(str(error).split())[:300]
