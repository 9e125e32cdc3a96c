"""A prior from searches on other corpora: a first guess of what is good on this one."""

import math
from collections.abc import Callable
from itertools import chain, zip_longest

import numpy as np

from search.samplers.base import Task
from search.samplers.coding import Coding
from search.samplers.design import balanced_design, draw_pool
from search.space.domain import Domain, Scalar
from search.space.space import Params, SearchSpace

Findings = list[tuple[Params, float]]  # configurations and scores of one search, higher is better
Mean = Callable[[np.ndarray], np.ndarray]  # expected standardised scores of places: (n, hyperparameters) -> (n,)

SHARE = 0.15  # this share of the space counts as promising
FADE = 20  # after so many finished trials a prior counts half
SPREAD = 0.5  # variance of standardised scores around the guess from a related corpus
DOUBT = 3.0  # weight of the guess that all places are equal; each source has 1
ENOUGH, LEAST_AGREEMENT = 5, 0.1  # with so many scores, a prior with a lower rank correlation is dropped
PENALTIES = np.geomspace(0.1, 1000, 13)


class Prior:
    """A guess from one or more earlier searches, with weights.

    Ranks carry over from one corpus to another, so the scores of a search are replaced by the normal scores of their
    ranks. The scores of the present search decide which sources are right, if any. The guess fades with more scores.
    """

    def __init__(self, space: SearchSpace, sources: list[Findings]):
        """sources: each varied at least one hyperparameter of the space, see `known`."""
        self._coding = Coding(space)
        self._opinions = [Opinion(self._coding, _places(space, findings), findings) for findings in sources]

    def start(self, task: Task, count: int, listed: list[Params] | None = None) -> list[Params]:
        """`count` first trials: promising ones alternate with those of a balanced design of the whole space.

        At most half are promising ones, so that a wrong prior does not spoil the start. listed: the whole space, if it
        is small.
        """
        pool = draw_pool(task, np.random.default_rng([task.seed, 5])) if listed is None else listed
        guess = self._guesses(self._coding.places(pool)).mean(0)
        promising = max(count, math.ceil(SHARE * len(pool)))
        best = [pool[row] for row in np.argsort(-guess, kind="stable")[:promising]]
        favourites = balanced_design(task, max(1, count // 2), best)
        design = [params for params in balanced_design(task, count, pool) if params not in favourites]
        turns = chain.from_iterable(zip_longest(favourites, design[: count - len(favourites)]))
        return [params for params in turns if params is not None]

    def mean(self, places: np.ndarray, scores: np.ndarray) -> Mean:
        """The prior mean, given standardised scores (n,) at places (n, hyperparameters).

        The weight of a source is the likelihood of the scores around its guess. The guess that all places are equal has
        such a weight, too. Guesses are centred over the places, as scores are.
        """
        guesses = self._guesses(places)
        centres = guesses.mean(1, keepdims=True)
        guesses = guesses - centres
        evidence = (guesses @ scores - (guesses**2).sum(1) / 2) / SPREAD
        odds = np.exp(np.append(evidence, math.log(DOUBT)) - max(0.0, evidence.max()))
        weights = (odds / odds.sum())[:-1] * FADE / (FADE + len(scores))
        if len(scores) >= ENOUGH and not _agreement(weights @ guesses, scores) >= LEAST_AGREEMENT:
            return lambda at: np.zeros(len(at))
        return lambda at: weights @ (self._guesses(at) - centres)

    def _guesses(self, places: np.ndarray) -> np.ndarray:
        """The guess of each source: (n, hyperparameters) -> (sources, n)."""
        return np.stack([opinion.guess(places) for opinion in self._opinions])


class Opinion:
    """The guess of one search: a ridge regression of the normal scores of its ranks (Hoerl and Kennard 1970).

    The features are the hyperparameters, their squares, and their products in pairs. The penalty is chosen by
    leave-one-out cross-validation (Golub, Heath and Wahba 1979). Hyperparameters that the search did not vary have no
    effect.
    """

    def __init__(self, coding: Coding, places: np.ndarray, findings: Findings):
        from scipy.special import ndtri  # takes a second to import
        from scipy.stats import rankdata

        self._coding = coding
        targets = ndtri((rankdata([score for _, score in findings]) - 0.5) / len(findings))
        features = self._features(places)
        self._centre, self._mean = features.mean(0), targets.mean()
        left, sizes, right = np.linalg.svd(features - self._centre, full_matrices=False)
        along = left.T @ (targets - self._mean)
        least = math.inf
        for penalty in PENALTIES:
            kept = sizes**2 / (sizes**2 + penalty)
            leverage = left**2 @ kept + 1 / len(targets)
            errors = (targets - self._mean - left @ (kept * along)) / np.maximum(1 - leverage, 1e-6)
            if (error := float(errors @ errors)) < least:
                least = error
                self._weights = right.T @ (sizes / (sizes**2 + penalty) * along)

    def guess(self, places: np.ndarray) -> np.ndarray:
        """The expected normal scores: (n, hyperparameters) -> (n,)."""
        guess: np.ndarray = self._mean + (self._features(places) - self._centre) @ self._weights
        return guess

    def _features(self, places: np.ndarray) -> np.ndarray:
        columns = 2 * self._coding.columns(places) - 1  # an unused hyperparameter is in the middle
        first, second = np.triu_indices(columns.shape[1])
        return np.concatenate((columns, columns[:, first] * columns[:, second]), axis=1)


def known(space: SearchSpace, findings: Findings) -> list[str]:
    """The hyperparameters of the space that the search varied."""
    columns = zip(space.domains, _places(space, findings).T, strict=True)
    return [path for path, places in columns if len({place for place in places if not math.isnan(place)}) > 1]


def _places(space: SearchSpace, findings: Findings) -> np.ndarray:
    """The places of the configurations: (findings, hyperparameters), NaN for a missing value."""
    rows = [
        [_place(domain, _look_up(params, path)) for path, domain in space.domains.items()] for params, _ in findings
    ]
    return np.array(rows, dtype=float).reshape(len(rows), len(space.domains))


def _look_up(params: Params, path: str) -> Scalar:
    """The value of a hyperparameter, which a table may name by the last part of its path."""
    return params.get(path, params.get(path.rpartition(".")[2]))


def _place(domain: Domain, value: Scalar) -> float:
    """The place in 0..1 of a value from another space, clamped to the domain; NaN if it has none."""
    if not domain.is_ordered:
        return domain.unit(value) if value in (domain.values or ()) else math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    if domain.values is None:
        return domain.unit(value)
    listed = sorted(float(str(v)) for v in domain.values)
    return float(np.interp(value, listed, np.linspace(0, 1, len(listed))))  # interpolates between ranks


def _agreement(guess: np.ndarray, scores: np.ndarray) -> float:
    """Spearman's rank correlation; 0 if one of them is constant."""
    from scipy.stats import spearmanr

    return float(spearmanr(guess, scores).statistic) if np.ptp(guess) > 0 and np.ptp(scores) > 0 else 0.0
