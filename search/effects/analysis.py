"""Main effects and interactions of a search's hyperparameters, from all trials that have scores."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from search.effects.factors import Factor, as_levels, as_steps, list_levels
from search.effects.regression import Fit, explained, fit, fit_forecasts, improvement
from search.space import Params, Scalar, SearchSpace

LEAST_FREEDOM = 3  # degrees of freedom left; with fewer an interval is too wide to say anything
CONFOUNDED = 0.9  # share of a hyperparameter's variance that the others explain: a variance ten times as large
STRONGEST = 3  # interactions to tell
ALPHA = 0.05


@dataclass(frozen=True)
class Observations:
    """Scores that can be compared, in the metric's unit.

    variances: (n,) what is unknown of a score because it is a forecast; 0 for one that was seen.
    seeds: for each configuration that was trained with several seeds, the scores of these.
    """

    configurations: list[Params]
    scores: np.ndarray
    variances: np.ndarray
    seeds: list[list[float]]


@dataclass(frozen=True)
class Noise:
    """A standard deviation of a score, and the degrees of freedom that it is known to."""

    deviation: float
    freedom: int


@dataclass(frozen=True)
class Estimate:
    """A difference in the metric's unit, with half of its 95% interval."""

    label: str  # "one more encoder layer", or the value of a word
    size: float
    margin: float
    seed_margin: float | None  # what seeds alone would make of it, 95%; None where their noise is not known

    @property
    def verdict(self) -> str:
        """clear; seeds: they explain it; open: more than seeds, but it may hang on the other settings."""
        if self.seed_margin is not None and abs(self.size) <= self.seed_margin:
            return "seeds"
        return "clear" if abs(self.size) > self.margin else "open"


@dataclass(frozen=True)
class LevelMean:
    """The mean score at a value, all other hyperparameters at the middle of theirs."""

    label: str
    at: Scalar  # the value, or the middle of a third of a range
    mean: float
    margin: float
    trials: int


@dataclass(frozen=True)
class Effect:
    """What one hyperparameter does: its step, or for more than two words each one's distance from their mean."""

    path: str
    estimates: list[Estimate]
    means: list[LevelMean]
    trials: int  # that use it

    @property
    def largest(self) -> Estimate:
        return max(self.estimates, key=lambda estimate: abs(estimate.size))


@dataclass(frozen=True)
class Interaction:
    """What two hyperparameters do together. estimate: what a step of one adds to a step of the other, if both have
    steps. chance: the p-value, times the number of pairs that were tried (Bonferroni)."""

    paths: tuple[str, str]
    steps: tuple[str, str] | None
    estimate: Estimate | None
    chance: float

    @property
    def is_clear(self) -> bool:
        return self.chance < ALPHA


@dataclass(frozen=True)
class Analysis:
    """Effects, the largest first, and what could not be told, as (hyperparameter, reason)."""

    effects: list[Effect]
    interactions: list[Interaction]
    pairs: int  # tried for interactions
    residual: Noise | None
    seeds: Noise | None
    untold: list[tuple[str, str]]
    needed: int | None  # trials with scores, if there are too few to tell anything


def analyse(space: SearchSpace, seen: Observations) -> Analysis:
    """Weighted least squares of the scores on all hyperparameters at once.

    So a main effect is what a step does while the others stay, averaged over them; where every combination was
    trained, the difference between the plain means of the trials with one value and with another.
    """
    trials = seen.configurations
    factors = [as_steps(path, domain, trials) for path, domain in space.domains.items()]
    seeds = seed_noise(seen.seeds)
    needed = 1 + sum(f.columns.shape[1] for f in factors) + LEAST_FREEDOM
    if len(trials) < needed:
        return Analysis([], [], 0, None, seeds, [], needed)
    constant = [f.path for f in factors if not np.ptp(f.columns, axis=0).any()]
    factors = [f for f in factors if f.path not in constant]
    untold = [(path, "all these trials have the same value") for path in constant]
    full, weights = fit_forecasts(_matrix(factors), seen.scores, seen.variances)
    residual = Noise(full.deviation, full.freedom)
    clean = []
    for factor in factors:
        if reason := _confounded(factor, factors):
            untold.append((factor.path, reason))
        else:
            clean.append(factor)
    effects = []
    for factor in clean:
        index = factors.index(factor)
        estimates = [
            _estimate(label, full, _placed(contrast, factors, index), residual, seeds)
            for label, contrast in factor.contrasts.items()
        ]
        used = sum(factor.path in params for params in trials)
        means = _means(factor.path, space, factors, seen, weights)
        effects.append(Effect(factor.path, estimates, means, used))
    effects.sort(key=lambda effect: -abs(effect.largest.size))
    pairs = list(combinations(clean, 2))
    found = [_interaction(a, b, len(pairs), factors, full, seen, weights, seeds) for a, b in pairs]
    told = sorted((each for each in found if each), key=lambda interaction: interaction.chance)
    return Analysis(effects, told[:STRONGEST], len(told), residual, seeds, untold, None)


def seed_noise(groups: list[list[float]]) -> Noise | None:
    """The standard deviation over seeds, pooled over configurations; None if none has several."""
    freedom = sum(len(scores) - 1 for scores in groups)
    if freedom < 1:
        return None
    squares = sum(float(np.var(scores)) * len(scores) for scores in groups)
    return Noise((squares / freedom) ** 0.5, freedom)


def _matrix(factors: list[Factor]) -> np.ndarray:
    """(trials, 1 + columns): the mean, then each factor's columns."""
    trials = len(factors[0].columns) if factors else 0
    return np.column_stack([np.ones(trials), *(factor.columns for factor in factors)])


def _placed(contrast: np.ndarray, factors: list[Factor], index: int) -> np.ndarray:
    """A contrast of one factor as weights on all coefficients."""
    parts = [np.zeros(factor.columns.shape[1]) for factor in factors]
    parts[index] = contrast
    return np.concatenate([np.zeros(1), *parts])


def _estimate(label: str, found: Fit, weights: np.ndarray, residual: Noise, seeds: Noise | None) -> Estimate:
    return Estimate(
        label,
        found.estimate(weights),
        found.margin(weights, residual.deviation, residual.freedom),
        found.margin(weights, seeds.deviation, seeds.freedom) if seeds else None,
    )


def _means(
    path: str, space: SearchSpace, factors: list[Factor], seen: Observations, weights: np.ndarray
) -> list[LevelMean]:
    """With its values as words, so that a mean need not lie on the line through the others."""
    as_words = [as_levels(f.path, space.domains[path], seen.configurations) if f.path == path else f for f in factors]
    index = next(i for i, factor in enumerate(factors) if factor.path == path)
    found = fit(_matrix(as_words), seen.scores, weights)
    means = []
    for level in list_levels(path, space.domains[path], seen.configurations):
        at = _placed(as_words[index].contrasts[level.label], as_words, index)
        at[0] = 1
        margin = found.margin(at, found.deviation, found.freedom) if found.freedom else math.nan
        means.append(LevelMean(level.label, level.at, found.estimate(at), margin, len(level.trials)))
    return means


def _confounded(factor: Factor, factors: list[Factor]) -> str | None:
    """Why its effect can't be told from those of others."""
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
    return f"it went along with {' and '.join(path.rpartition('.')[2] for path in partners[:2])}"


def _interaction(
    a: Factor,
    b: Factor,
    pairs: int,
    factors: list[Factor],
    full: Fit,
    seen: Observations,
    weights: np.ndarray,
    seeds: Noise | None,
) -> Interaction | None:
    """None if too few trials are left to tell."""
    products = np.column_stack([x * y for x in a.columns.T for y in b.columns.T])
    wide = fit(np.column_stack([_matrix(factors), products]), seen.scores, weights)
    if wide.freedom < LEAST_FREEDOM or wide.freedom == full.freedom:
        return None
    chance = min(1.0, pairs * improvement(full, wide))
    if not (a.is_step and b.is_step):
        return Interaction((a.path, b.path), None, None, chance)
    last = np.zeros(len(wide.coefficients))
    last[-1] = 1
    steps = next(iter(a.contrasts)), next(iter(b.contrasts))
    estimate = _estimate(f"{steps[0]}, {steps[1]}", wide, last, Noise(wide.deviation, wide.freedom), seeds)
    return Interaction((a.path, b.path), steps, estimate, chance)
