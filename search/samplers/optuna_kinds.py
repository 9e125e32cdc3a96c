"""The kinds of samplers that use Optuna. `make` imports it, as that is slow."""

from typing import ClassVar, Literal

from search.samplers.base import Sampler, Task
from search.samplers.kind import KEY, SamplerSettings, Startup
from search.samplers.prior import Prior
from search.space.space import SearchSpace


class OptunaSettings(SamplerSettings):
    """A kind that asks a sampler of Optuna."""

    def check(self, space: SearchSpace) -> None:
        weighed = [path for path, domain in space.domains.items() if domain.probabilities]
        if weighed:
            raise ValueError(
                f"{KEY}: {self.kind} draws values equally often, and space.{weighed[0]} has probabilities: drop them, "
                "or use default, random or qmc"
            )


class TpeSettings(OptunaSettings):
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023)."""

    kind: Literal["tpe"] = "tpe"
    startup_trials: Startup = 3

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        from search.samplers.optuna_samplers import tpe

        return tpe(task, self.startup_trials)


class GaussianProcessSettings(OptunaSettings):
    """Optuna's Gaussian process; it learns from finished trials only, the best and latest 150 at most."""

    kind: Literal["gp"] = "gp"
    startup_trials: Startup = 3

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        from search.samplers.optuna_samplers import gaussian_process

        return gaussian_process(task, self.startup_trials)


class CmaEsSettings(OptunaSettings):
    """Optuna's CMA-ES with margins for discrete values (Hamano et al. 2022); it draws unordered values at random."""

    installs: ClassVar[tuple[str, str, str]] = ("cmaes", "cmaes", "cmaes")
    fronts: ClassVar[bool] = False

    kind: Literal["cmaes"] = "cmaes"

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        from search.samplers.optuna_samplers import cmaes

        return cmaes(task)


class Nsga2Settings(OptunaSettings):
    """Optuna's genetic algorithm NSGA-II (Deb et al. 2002), with a population of 10, for a few hundred trials."""

    kind: Literal["nsga2"] = "nsga2"

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        from search.samplers.optuna_samplers import nsga2

        return nsga2(task)
