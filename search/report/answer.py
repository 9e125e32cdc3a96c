"""The answer of a search in sentences: which model is best, how sure that is, and what it cost."""

from collections.abc import Mapping

from search.finals.board import Cost, Leaderboard, LeaderboardEntry
from search.finals.stages import TestMetric
from search.settings.wording import count, describe, duration, plain
from trainables.base.metrics import Metric


def titled(leaderboard: Leaderboard, by: TestMetric, metrics: Mapping[str, Metric]) -> str:
    """The title of the metric that decided the ranking."""
    return by.metric.title if leaderboard.decided_by == by.name else metrics[leaderboard.decided_by].title


def told_interval(by: TestMetric, entry: LeaderboardEntry) -> str:
    """An interval as text, such as 50.1–55.3."""
    return "–".join(_end(by, end) for end in entry.score_ci)


def _end(by: TestMetric, end: float) -> str:
    """The end of an interval, with one digit less than the score."""
    return f"{end:.{max(0, by.metric.digits - 1)}f}"


def answer(leaderboard: Leaderboard, by: TestMetric, metrics: Mapping[str, Metric]) -> list[str]:
    """Sentences: which model is best, by how much and how significantly, what that leaves open, and at what cost.

    by: the metric of the ranking. metrics: those of the problem.
    """
    best, *others = leaderboard.ranking
    show = by.metric.show
    cost = leaderboard.search
    low, high = (_end(by, end) for end in best.score_ci)
    seeds = count(len(best.seeds), "seed", "seeds")
    if leaderboard.decided_by != by.name:
        return [_undecided(leaderboard, by, metrics), _spent(cost)]
    sentences = [
        f"The best of {count(cost.trials, 'configuration', 'configurations')} is trial {best.trial}{_setting(best)}: "
        f"{show(best.score)} {by.short} on the test data, 95% interval {low} to {high}, {seeds}{_size(best)}."
    ]
    equals = [entry for entry in others if entry.group == best.group]
    if not others:
        sentences.append("It is the only finalist, so its lead is unknown.")
    elif equals:
        names = ", ".join(f"{entry.trial} ({show(entry.score)})" for entry in equals)
        smallest = min((best, *equals), key=lambda entry: entry.num_parameters or 0)
        small = f"; the smallest among them is trial {smallest.trial}{_size(smallest, 'with ')}"
        sentences.append(
            f"These tests can't tell it apart from {'trial' if len(equals) == 1 else 'trials'} {names}"
            f"{small if best.num_parameters is not None else ''}."
        )
    else:
        second = others[0]
        lead = abs(best.score - second.score)
        chance = f"test {by.items} and seeds explains"
        if min(len(best.seeds), len(second.seeds)) == 1:
            chance = f"test {by.items} explains; what another seed would change is not known from one"
        sentences.append(
            f"It leads the next finalist, trial {second.trial}, by {show(lead)} {by.short}, more than chance among "
            f"{chance} (paired tests, 95%)."
        )
    return [*sentences, *leaderboard.outlook, _spent(cost)]


def _setting(entry: LeaderboardEntry) -> str:
    return f" ({describe(entry.config)})" if entry.config else ""


def _size(entry: LeaderboardEntry, word: str = ", ") -> str:
    if entry.num_parameters is None:
        return ""
    unit = "" if word == "with " else " parameters"
    return f"{' ' if word == 'with ' else ''}{word}{entry.num_parameters / 1e6:.2f} million{unit}"


def _undecided(leaderboard: Leaderboard, by: TestMetric, metrics: Mapping[str, Metric]) -> str:
    """The sentence for a ranking that another metric decided."""
    best, name = leaderboard.ranking[0], leaderboard.decided_by
    trials = count(leaderboard.search.trials, "configuration", "configurations")
    loss, value = metrics[name], best.figures[name]
    assert value is not None, "models were ranked by it"
    return (
        f"{by.short} can't say which of {trials} is best. By {loss.title} it is trial {best.trial}"
        f"{_setting(best)} with {loss.show(value)}, and {by.metric.show(best.score)} {by.short} on the test data."
    )


def _spent(cost: Cost) -> str:
    share = cost.epochs_trained / cost.epochs_full
    return (
        f"The search trained {plain(cost.epochs_trained)} epochs, {share:.0%} of those that all trials would have had "
        f"without stopping: {duration(cost.gpu_seconds)} on its devices, {duration(cost.wall_seconds)} by the clock."
    )
