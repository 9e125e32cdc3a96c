"""Main effects and interactions of a search's hyperparameters, from all trials that have scores."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from search.effects.factors import Factor, as_levels, as_steps, list_levels
from search.effects.observing import Observations, Score
from search.effects.regression import explained, fit, quantile
from search.space.domain import Scalar
from search.space.space import SearchSpace

LEAST_FREEDOM = 3  # with fewer degrees of freedom, intervals would be too wide to be of use
CONFOUNDED = 0.9  # if others explain this share of a hyperparameter's variance, the variance inflation is 10
STRONGEST = 3  # the number of interactions that are reported
ALPHA = 0.05


@dataclass(frozen=True)
class Noise:
    """A standard deviation of a score, with its degrees of freedom."""

    deviation: float
    freedom: int

    def margin(self, share: float) -> float:
        """Half of the 95% interval that this noise gives an estimate. share: of a score's deviation in the estimate."""
        return quantile(self.freedom) * self.deviation * share


@dataclass(frozen=True)
class Estimate:
    """A difference in the metric's unit, with half of its 95% interval."""

    label: str  # "one more encoder layer", or the value of a word
    size: float
    margin: float
    seed_margin: float | None  # half of the 95% interval from the noise of seeds alone; None if it is unknown
    needed: int | None  # trials needed to estimate it, if its interval is wider than the scale of the scores

    @property
    def verdict(self) -> str:
        """A verdict on the estimate, as a word.

        "clear"; "seeds": the noise of seeds explains it; "open": seeds do not explain it, but the interval contains 0;
        "wide": there are too few trials to estimate it.
        """
        if self.needed is not None:
            return "wide"
        if self.seed_margin is not None and abs(self.size) <= self.seed_margin:
            return "seeds"
        return "clear" if abs(self.size) > self.margin else "open"


@dataclass(frozen=True)
class LevelMean:
    """The estimated mean score at a value, with all other hyperparameters in the middle of their values."""

    label: str
    at: Scalar  # the value, or the middle of a third of a range
    mean: float
    margin: float
    trials: int
    needed: int | None  # as in Estimate


@dataclass(frozen=True)
class Effect:
    """The effect of a hyperparameter: of a step, or, for unordered values, each one's difference from their mean."""

    path: str
    estimates: list[Estimate]
    means: list[LevelMean]
    trials: int  # the number of trials that use it

    @property
    def largest(self) -> Estimate:
        """The largest estimate."""
        return max(self.estimates, key=lambda estimate: abs(estimate.size))

    @property
    def needed(self) -> int | None:
        """Trials needed to estimate it, if these are too few."""
        return max((each.needed for each in self.estimates if each.needed is not None), default=None)

    @property
    def verdict(self) -> str:
        """The verdict; see `Estimate.verdict`."""
        return "wide" if self.needed is not None else self.largest.verdict


@dataclass(frozen=True)
class Interaction:
    """The interaction of two hyperparameters.

    estimate: the change in the effect of one step by a step of the other, if both have steps. chance: the p-value times
    the number of pairs that were tried (Bonferroni).
    """

    paths: tuple[str, str]
    steps: tuple[str, str] | None
    estimate: Estimate | None
    chance: float

    @property
    def is_clear(self) -> bool:
        """Whether it is significant."""
        return self.chance < ALPHA


@dataclass(frozen=True)
class Analysis:
    """The effects, the largest first, and those that can't be estimated, as (hyperparameter, reason)."""

    effects: list[Effect]
    interactions: list[Interaction]
    pairs: int  # the number of pairs that were tried for interactions
    seeds: Noise | None
    not_estimated: list[tuple[str, str]]
    needed: int | None  # the number of trials with scores that is needed, if there are too few for any effect
    scores: dict[int, Score]  # trial -> score at the last stage; without forecasts if there are too few trials
    stage: str  # as in Observations


def analyse(space: SearchSpace, seen: Observations) -> Analysis:
    """Regress the scores on all hyperparameters at once.

    A main effect is the change of the score by one step while the others stay the same, averaged over them. If every
    combination was trained, it is the difference between the means of the trials with one value and with the other.
    """
    trials = seen.configurations
    factors = [as_steps(path, domain, trials) for path, domain in space.domains.items()]
    seeds = seed_noise(seen.seeds)
    needed = 1 + sum(factor.columns.shape[1] for factor in factors) + LEAST_FREEDOM
    if len(trials) < needed:
        measured = seen.last_stage(seen.scores[:, -1], np.zeros(len(trials)))
        return Analysis([], [], 0, seeds, [], needed, measured, seen.stage)
    not_estimated = []
    for factor in factors.copy():
        if not np.ptp(factor.columns, axis=0).any():
            not_estimated.append((factor.path, "all these trials have the same value"))
            factors.remove(factor)
    clean = []
    for factor in factors:
        if reason := _confounded(factor, factors):
            not_estimated.append((factor.path, reason))
        else:
            clean.append(factor)
    columns = _matrix(factors, len(trials))
    full = fit(columns, seen.scores)
    spread = np.linalg.pinv(columns.T @ columns, hermitian=True)  # of coefficients, for scores of variance 1
    effects = []
    for factor in clean:
        index = factors.index(factor)
        estimates = []
        for label, contrast in factor.contrasts.items():
            weights = _placed(contrast, factors, index)
            seed_margin = None if seeds is None else seeds.margin(float(weights @ spread @ weights) ** 0.5)
            size, margin, wanted = full.estimate(weights), full.margin(weights), full.needed(weights, seen.scale)
            estimates.append(Estimate(label, size, margin, seed_margin, wanted))
        used = sum(factor.path in params for params in trials)
        effects.append(Effect(factor.path, estimates, _means(factor.path, space, factors, seen), used))
    effects.sort(key=lambda effect: -abs(effect.largest.size))
    pairs = list(combinations(clean, 2))
    found = [_interaction(a, b, len(pairs), columns, seen) for a, b in pairs]
    estimated = sorted((each for each in found if each), key=lambda interaction: interaction.chance)
    scores = seen.last_stage(full.completed[:, -1], full.margins)
    return Analysis(effects, estimated[:STRONGEST], len(estimated), seeds, not_estimated, None, scores, seen.stage)


def seed_noise(groups: list[list[float]]) -> Noise | None:
    """The standard deviation over seeds, pooled over configurations; None if none has several."""
    freedom = sum(len(scores) - 1 for scores in groups)
    if freedom < 1:
        return None
    squares = sum(float(np.var(scores)) * len(scores) for scores in groups)
    return Noise((squares / freedom) ** 0.5, freedom)


def _matrix(factors: list[Factor], trials: int) -> np.ndarray:
    """The design matrix, (trials, 1 + columns): ones for the mean, then each factor's columns."""
    return np.column_stack([np.ones(trials), *(factor.columns for factor in factors)])


def _placed(contrast: np.ndarray, factors: list[Factor], index: int) -> np.ndarray:
    """The weights on all coefficients of a contrast of one factor."""
    parts = [np.zeros(factor.columns.shape[1]) for factor in factors]
    parts[index] = contrast
    return np.concatenate([np.zeros(1), *parts])


def _means(path: str, space: SearchSpace, factors: list[Factor], seen: Observations) -> list[LevelMean]:
    """The mean at each value, without assuming that the means are on a line."""
    trials = seen.configurations
    as_words = [as_levels(f.path, space.domains[path], trials) if f.path == path else f for f in factors]
    index = next(i for i, factor in enumerate(factors) if factor.path == path)
    found = fit(_matrix(as_words, len(trials)), seen.scores)
    means = []
    for level in list_levels(path, space.domains[path], trials):
        at = _placed(as_words[index].contrasts[level.label], as_words, index)
        at[0] = 1
        mean, margin, needed = found.estimate(at), found.margin(at), found.needed(at, seen.scale)
        means.append(LevelMean(level.label, level.at, mean, margin, len(level.trials), needed))
    return means


def _confounded(factor: Factor, factors: list[Factor]) -> str | None:
    """Why the effect of a factor can't be separated from those of others; None if it can."""
    others = [other for other in factors if other is not factor]
    columns = np.column_stack([np.zeros((len(factor.columns), 0)), *(other.columns for other in others)])
    share, column = max((explained(column, columns), i) for i, column in enumerate(factor.columns.T))
    if share < CONFOUNDED:
        return None
    alike = {
        other.path: max(abs(float(np.corrcoef(factor.columns[:, column], c)[0, 1])) for c in other.columns.T)
        for other in others
    }
    partners = [path for path, correlation in alike.items() if correlation > 0.7] or list(alike)
    partners.sort(key=lambda path: -alike[path])
    return f"it varied together with {' and '.join(path.rpartition('.')[2] for path in partners[:2])}"


def _interaction(a: Factor, b: Factor, pairs: int, columns: np.ndarray, seen: Observations) -> Interaction | None:
    """The interaction of two factors; None if there are too few trials."""
    products = np.column_stack([x * y for x in a.columns.T for y in b.columns.T])
    wide = np.column_stack([columns, products])
    new = slice(columns.shape[1], wide.shape[1])
    rank = int(np.linalg.matrix_rank(wide))
    if len(wide) - rank < LEAST_FREEDOM or rank < int(np.linalg.matrix_rank(columns)) + products.shape[1]:
        return None
    found = fit(wide, seen.scores)
    chance = min(1.0, pairs * found.chance(new))
    if not (a.is_step and b.is_step):
        return Interaction((a.path, b.path), None, None, chance)
    last = np.eye(wide.shape[1])[-1]
    steps = next(iter(a.contrasts)), next(iter(b.contrasts))
    needed = found.needed(last, seen.scale)
    estimate = Estimate(f"{steps[0]}, {steps[1]}", found.estimate(last), found.margin(last), None, needed)
    return Interaction((a.path, b.path), steps, estimate, chance)
