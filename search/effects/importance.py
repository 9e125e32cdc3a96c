"""The importance of hyperparameters, by two methods that ask different questions."""

from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from search.effects.fanova import fanova
from search.record.quiet_optuna import quiet_optuna
from search.space.space import Params, SearchSpace

LEAST_TRIALS = 10  # with fewer trials, importance is not computed
TOP = 0.1, 5  # PED-ANOVA uses the best tenth of the trials, but at least five


@dataclass(frozen=True)
class Importance:
    """The importance of one hyperparameter, in 0..1; the sum over all of them is 1.

    fanova: its share of the variance of scores over the whole space (Hutter et al. 2014); None if some trials don't use
    it. ped_anova: its share of the difference between the best trials and all trials (Watanabe et al. 2023).
    """

    path: str
    fanova: float | None
    ped_anova: float

    @property
    def gap(self) -> float:
        """The difference between the two."""
        return 0.0 if self.fanova is None else abs(self.fanova - self.ped_anova)


@quiet_optuna()
def importances(space: SearchSpace, configurations: list[Params], scores: np.ndarray) -> list[Importance]:
    """The importances, the largest first; none if there are too few trials. scores: (n,), higher is better."""
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
    shares = fanova(distributions, configurations, np.asarray(scores))
    ped_anova = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=top))
    found = [Importance(path, shares.get(path), ped_anova.get(path, 0.0)) for path in space.domains]
    return sorted(found, key=lambda each: -max(each.fanova or 0.0, each.ped_anova))
