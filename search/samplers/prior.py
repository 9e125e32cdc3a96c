"""What searches on other corpora found, as a first guess of what is good on this one."""

import math
from collections.abc import Callable
from itertools import chain, zip_longest

import numpy as np

from search.samplers.base import Task
from search.samplers.coding import Coding
from search.samplers.design import balanced_design, draw_pool
from search.space.domain import Domain, Scalar
from search.space.space import Params, SearchSpace

Findings = list[tuple[Params, float]]  # of one search: configurations and scores, higher is better
Mean = Callable[[np.ndarray], np.ndarray]  # of places, (n, hyperparameters) -> (n,), in standardised scores

SHARE = 0.15  # of the space that counts as promising
FADE = 20  # finished trials after which a prior counts half
SPREAD = 0.5  # variance of standardised scores around what a search of a related corpus expects
DOUBT = 3.0  # weight of the guess that no source says anything, beside 1 for each source
ENOUGH, LEAST_AGREEMENT = 5, 0.1  # scores, after which a prior with a lower rank correlation is dropped
PENALTIES = np.geomspace(0.1, 1000, 13)


class Prior:
    """The guess of one or more earlier searches, and how much it is worth.

    Ranks are what carries over from corpus to corpus, so a search is taken for the normal scores of its ranks. Which
    source is right, and whether any is, is judged by the scores of the present search; the guess fades as they come.
    """

    def __init__(self, space: SearchSpace, sources: list[Findings]):
        """sources: of which each knows a hyperparameter of the space, see `known`."""
        self._coding = Coding(space)
        self._opinions = [Opinion(self._coding, _places(space, findings), findings) for findings in sources]

    def start(self, task: Task, count: int, listed: list[Params] | None = None) -> list[Params]:
        """`count` trials to begin with: promising ones, in turn with those of a balanced design of the whole space.

        At most half are promising ones, so that a wrong prior does not cost the search its start. listed: the whole
        space, where it is small.
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
        """What to expect of places before the scores (n,), standardised, of the places (n, hyperparameters) bend it.

        A source weighs by the likelihood of the scores around its guess; so does the guess that all places are equal.
        Guesses count from their mean over the places, as scores do.
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
        """(n, hyperparameters) -> (sources, n)."""
        return np.stack([opinion.guess(places) for opinion in self._opinions])


class Opinion:
    """What one search expects: a ridge regression of normal scores of its ranks (Hoerl and Kennard 1970).

    On the hyperparameters, their squares and their products in pairs, with the penalty that is best for scores that
    were left out one at a time (Golub, Heath and Wahba 1979). What its search did not vary changes nothing.
    """

    def __init__(self, coding: Coding, places: np.ndarray, findings: Findings):
        from scipy.special import ndtri  # they take a second to import
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
        """(n, hyperparameters) -> (n,), in normal scores."""
        guess: np.ndarray = self._mean + (self._features(places) - self._centre) @ self._weights
        return guess

    def _features(self, places: np.ndarray) -> np.ndarray:
        columns = 2 * self._coding.columns(places) - 1  # an unused hyperparameter lies in the middle
        first, second = np.triu_indices(columns.shape[1])
        return np.concatenate((columns, columns[:, first] * columns[:, second]), axis=1)


def known(space: SearchSpace, findings: Findings) -> list[str]:
    """The hyperparameters of the space that a search says something about: those that it varied."""
    columns = zip(space.domains, _places(space, findings).T, strict=True)
    return [path for path, places in columns if len({place for place in places if not math.isnan(place)}) > 1]


def _places(space: SearchSpace, findings: Findings) -> np.ndarray:
    """(findings, hyperparameters), NaN where a configuration has no such value."""
    rows = [
        [_place(domain, _look_up(params, path)) for path, domain in space.domains.items()] for params, _ in findings
    ]
    return np.array(rows, dtype=float).reshape(len(rows), len(space.domains))


def _look_up(params: Params, path: str) -> Scalar:
    """A table may name a hyperparameter by the last part of its path."""
    return params.get(path, params.get(path.rpartition(".")[2]))


def _place(domain: Domain, value: Scalar) -> float:
    """Where a value of another space lies in 0..1, clamped to the domain; NaN if there is no telling."""
    if not domain.is_ordered:
        return domain.unit(value) if value in (domain.values or ()) else math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    if domain.values is None:
        return domain.unit(value)
    listed = sorted(float(str(v)) for v in domain.values)
    return float(np.interp(value, listed, np.linspace(0, 1, len(listed))))  # between two listed: between their ranks


def _agreement(guess: np.ndarray, scores: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one says nothing."""
    from scipy.stats import spearmanr

    return float(spearmanr(guess, scores).statistic) if np.ptp(guess) > 0 and np.ptp(scores) > 0 else 0.0
