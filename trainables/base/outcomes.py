"""How a trial may end."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a trial of a study stands; its value is what is written."""

    RUNNING = "running"  # trained, waiting at a rung, or waiting for a worker
    COMPLETED = "completed"  # trained to its last epoch
    STOPPED = "stopped"  # ended at a rung
    DIVERGED = "diverged"  # its loss or score is not finite
    INFEASIBLE = "infeasible"  # memory is too small for it
    FAILED = "failed"  # an error that says nothing of its configuration


DIED = (Outcome.DIVERGED, Outcome.INFEASIBLE, Outcome.FAILED)
