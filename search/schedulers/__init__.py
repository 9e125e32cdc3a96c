"""Who goes on at a rung, who waits there, who ends. Functions of what the study holds; no state of their own."""

import math

from search.schedulers.base import Decision, Scheduler
from search.schedulers.gentle import Gentle
from search.schedulers.halving import Halving
from search.schedulers.median import MedianStopping
from search.schedulers.population import Population
from search.schedulers.promotion import Hyperband, Promotion
from search.schedulers.unranked import ToTheEnd
from search.settings.experiment import Experiment

__all__ = ["Decision", "Scheduler", "make_scheduler"]


def make_scheduler(experiment: Experiment) -> Scheduler:
    """The scheduler that `search.scheduler` names."""
    rungs, factor = experiment.rungs, experiment.search.reduction_factor
    match experiment.search.scheduler:
        case "asha":
            return Halving(rungs, factor)
        case "asha_promotion":
            return Promotion(rungs, factor)
        case "hyperband":
            return Hyperband(rungs, factor)
        case "median":
            return MedianStopping(rungs)
        case "gentle":
            return Gentle(rungs)
        case "pbt":
            size = min(experiment.search.trials or math.inf, experiment.space.size())
            return Population(rungs, int(size), experiment.space, experiment.search.seed)
        case "none":
            return ToTheEnd()
