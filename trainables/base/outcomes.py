"""The outcomes of a trial."""

from enum import StrEnum


class Outcome(StrEnum):
    """The state of a trial of a study; the value is what is stored."""

    RUNNING = "running"  # trained, waiting at a rung, or waiting for a worker
    COMPLETED = "completed"  # trained to its last epoch
    STOPPED = "stopped"  # ended at a rung
    DIVERGED = "diverged"  # its loss or score is not finite
    INFEASIBLE = "infeasible"  # it does not fit into memory
    FAILED = "failed"  # an error that says nothing about its configuration


DIED = (Outcome.DIVERGED, Outcome.INFEASIBLE, Outcome.FAILED)
