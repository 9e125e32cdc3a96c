"""Who proposes the next configuration. Functions of a seed and what the study holds; no state of their own."""

from search.samplers import enumeration, optuna_samplers
from search.samplers.base import Proposal, Sampler, SamplerName, Task
from search.samplers.default import ModelSampler
from search.samplers.prior import Prior

__all__ = ["Prior", "Proposal", "Sampler", "SamplerName", "Task", "make_sampler"]


def make_sampler(name: SamplerName, task: Task, start: int, prior: Prior | None = None) -> Sampler:
    """The sampler of that name; start: trials before those with a model let it decide; prior: for "default" alone."""
    match name:
        case "default":
            return ModelSampler(task, start, prior)
        case "random":
            return enumeration.random(task)
        case "grid":
            return enumeration.grid(task)
        case "qmc":
            return enumeration.quasi_random(task)
        case "tpe":
            return optuna_samplers.tpe(task, start)
        case "gp":
            return optuna_samplers.gaussian_process(task, start)
        case "cmaes":
            return optuna_samplers.cma_es(task)
        case "nsga2":
            return optuna_samplers.nsga2(task)
