"""Which hyperparameters matter, by two methods that ask different questions."""

from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from search.record.quiet_optuna import quiet_optuna
from search.space.space import Params, SearchSpace

LEAST_TRIALS = 10  # fewer say nothing of importance
TOP = 0.1, 5  # the best tenth, and at least five trials, are what PED-ANOVA looks at
SEED = 0  # of fANOVA's forest


@dataclass(frozen=True)
class Importance:
    """Shares of one hyperparameter, 0 to 1, that add up to 1 over all of them.

    fanova: of the variance of scores all over the space (Hutter et al. 2014); None for one that some trials don't use.
    ped_anova: of what sets the best trials apart from all (Watanabe et al. 2023).
    """

    path: str
    fanova: float | None
    ped_anova: float

    @property
    def gap(self) -> float:
        """How far the two are apart."""
        return 0.0 if self.fanova is None else abs(self.fanova - self.ped_anova)


@quiet_optuna()
def importances(space: SearchSpace, configurations: list[Params], scores: np.ndarray) -> list[Importance]:
    """The most important first; none if there are too few trials. scores (n,): higher is better."""
    if len(scores) < LEAST_TRIALS or not np.ptp(scores) or not space.domains:
        return []
    distributions = space.to_optuna()
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        create_trial(params=params, distributions={path: distributions[path] for path in params}, value=float(score))
        for params, score in zip(configurations, scores, strict=True)
    )
    share, trials = TOP
    top = max(share, trials / len(scores))
    fanova = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
    ped_anova = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=top))
    found = [Importance(path, fanova.get(path), ped_anova.get(path, 0.0)) for path in space.domains]
    return sorted(found, key=lambda each: -max(each.fanova or 0.0, each.ped_anova))
