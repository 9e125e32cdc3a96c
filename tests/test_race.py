"""The race of the finals: levels that are spent over looks, where the next seed goes, and when it is over."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from boards import TEST_BLEU
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from reports import make_report
from scipy.special import ndtr, ndtri
from test_extension import experiment_in

from search.driver.race_run import RaceRun
from search.engine.proposals import make_budget
from search.finals.choosing import Finalist, FinalsPlan
from search.finals.comparison import Comparison
from search.finals.leaderboard import Entry
from search.finals.outlook import Settings, Trained, explain_open_pairs
from search.finals.race import Race
from search.finals.rounds import FILE, Rounds
from search.finals.sequential import nominal_level, repeated_p
from search.finals.significance import Evidence, Looks, SeedNoise, weigh
from search.finals.stages import FinalModel
from search.record.budget import Spent
from search.record.journal import make_line
from search.settings.experiment import Experiment
from trainables.base.errors import UserError
from trainables.base.metrics import Metric
from trainables.scoring.metrics import mean_of_sums

SCORE = replace(TEST_BLEU, name="test_score", metric=Metric("score"), of_sums=mean_of_sums, bounds=(-1e9, 1e9))
GROWING = st.lists(st.floats(0.01, 1), min_size=1, max_size=6).map(sorted)


# -- levels over looks


def test_the_levels_of_looks_add_up_to_the_level() -> None:
    """Paths of a Brownian motion: after each look, level × t³ of them have crossed a bound; if it is the last, all."""
    times = np.array([0.3, 0.42, 0.5, 0.8, 0.81, 1.0])
    steps = np.random.default_rng(0).normal(size=(200_000, len(times))) * np.sqrt(np.diff([0, *times]))
    p_values = 2 * ndtr(-np.abs(np.cumsum(steps, axis=1)) / np.sqrt(times))
    for level in (0.05, 0.2):
        levels = [nominal_level(list(times[: look + 1]), level) for look in range(len(times))]
        crossed = np.logical_or.accumulate(p_values < levels, axis=1).mean(axis=0)
        assert crossed == pytest.approx(level * times**3, abs=4 * math.sqrt(level / 200_000))
        for last in (0, 2, 5):
            bounds = [*levels[:last], nominal_level(list(times[: last + 1]), level, over=True)]
            ever = (p_values[:, : last + 1] < bounds).any(axis=1).mean()
            assert ever == pytest.approx(level, abs=4 * math.sqrt(level / 200_000))


@settings(max_examples=30)
@given(GROWING, st.floats(0.001, 0.5))
def test_the_corrected_p_value_is_the_level_at_which_a_look_is_significant(times: list[float], level: float) -> None:
    nominal = nominal_level(times, level)
    assert 0 < nominal <= level * (1 + 1e-9)
    assert repeated_p(nominal, times) == pytest.approx(level, rel=1e-3)
    assert repeated_p(min(1.0, nominal * 1.5), times) > level * 0.999


def test_looks_without_new_information_cost_nothing() -> None:
    assert nominal_level([0.5, 0.5, 0.5, 1.0, 1.0], 0.05) == nominal_level([0.5, 1.0], 0.05)
    assert nominal_level([1.0], 0.05) == pytest.approx(0.05) and repeated_p(0.03, [1.0]) == pytest.approx(
        0.03, rel=1e-3
    )
    assert repeated_p(1.0, [0.5, 1.0]) == 1.0 and repeated_p(1e-12, [0.5]) <= 1e-9


# -- a ranking after looks


def models(quality: float, seeds: int, rng: np.random.Generator) -> list[tuple[np.ndarray]]:
    """Item statistics of models whose scores on 100 items are about a quality, with luck of seed and item."""
    luck = rng.normal(0, 0.5, (seeds, 1)) + rng.normal(0, 4, (seeds, 100))
    return [(np.stack([quality + row, np.ones(100)], axis=1),) for row in luck]


def test_looks_widen_intervals_and_raise_p_values() -> None:
    rng = np.random.default_rng(1)
    systems = [models(quality, 4, rng) for quality in (31, 30, 30)]
    once, last = weigh(systems, SCORE), weigh(systems, SCORE, Looks([[4, 4, 4]], most=4))
    for pair, before in zip(last.comparisons, once.comparisons, strict=True):
        assert pair.ci == pytest.approx(before.ci)
    assert [p.p_nested for p in last.comparisons] == pytest.approx([p.p_nested for p in once.comparisons], rel=1e-3)
    raced = weigh(systems, SCORE, Looks([[2, 2, 2], [3, 2, 2], [3, 3, 2], [4, 4, 4]], most=8))
    for before, pair in zip(once.comparisons, raced.comparisons, strict=True):
        assert pair.difference == before.difference and pair.p_nested > before.p_nested
        assert pair.ci[0] < before.ci[0] and pair.ci[1] > before.ci[1]
        assert (pair.p_nested < 0.05) == (not pair.ci[0] <= 0 <= pair.ci[1]), "they agree"
    assert raced.intervals == once.intervals
    over = weigh(systems, SCORE, Looks([[2, 2, 2], [3, 2, 2], [3, 3, 2], [4, 4, 4]], most=8, over=True))
    for at_once, pair, going in zip(once.comparisons, over.comparisons, raced.comparisons, strict=True):
        assert going.ci[0] < pair.ci[0] <= at_once.ci[0] and at_once.p_nested <= pair.p_nested < going.p_nested


# -- where the next seed goes


def state(
    gaps: Sequence[float], seeds: Sequence[int], *, margin: float | None = None, most: int = 10, **more: Any
) -> Race:
    """A race after its first comparison; gaps: of the finalists to the best one, the first 0."""
    pairs = [(a, b) for a in range(len(gaps)) for b in range(a + 1, len(gaps))]
    comparisons = [Comparison(a, b, gaps[b] - gaps[a], (-2, 2), 0.5, 0.5, 0.5, 0.5) for a, b in pairs]
    for place, ci in more.pop("known", {}).items():
        p = 0.001 if ci[0] > 0 else 0.5
        comparisons[place - 1] = replace(comparisons[place - 1], ci=ci, p_holm=p)
    noise = SeedNoise(0.16, 0.0, sum(seeds) - len(seeds))
    items = more.pop("items", 0.09)
    evidence = Evidence([(0, 1)] * len(gaps), comparisons, [1] * len(gaps), noise, dict.fromkeys(pairs, items))
    return Race(evidence, Looks([list(seeds)], most), more.pop("costs", [1.0] * len(gaps)), margin)


def test_a_seed_goes_to_the_pair_that_it_may_decide() -> None:
    assert state([0, 0.05, 1.2], [2, 2, 2]).next([2, 2, 2]) in (0, 2), "the other pair looks equal"
    race = state([0, 0.05, 1.2], [2, 2, 2], margin=1.5)
    assert race.next([2, 2, 2]) in (0, 1), "and may be shown to be equivalent"
    assert state([0, 1.2, 1.2], [2, 2, 2], costs=[1, 1, 5]).next([5, 2, 2]) == 1, "the cheaper one of two"
    assert state([0, 1.2], [2, 2], costs=[5, 1]).next([2, 2]) == 1
    assert state([0, 1.2], [2, 2]).next([2, 5]) == 0, "the one with fewer seeds"
    assert state([0, 1.2], [2, 2]).next([10, 5]) == 1, "nobody gets more than the most"
    assert state([0, 1.2], [2, 2]).next([10, 10]) is None


def test_a_race_is_over_when_all_pairs_with_the_best_are_answered() -> None:
    known = {1: (-0.3, 0.4), 2: (0.5, 2.0)}
    race = state([0, 0.05, 1.2], [4, 4, 4], margin=0.5, known=known)
    assert not race.unanswered and race.next([4, 4, 4]) is None and race.promise == 0
    assert [pair.b for pair in state([0, 0.05, 1.2], [4, 4, 4], known=known).unanswered] == [1], "without a margin"
    assert [pair.b for pair in state([0, 0.05, 1.2], [4, 4, 4], margin=0.4, known=known).unanswered] == [1]


def test_the_chance_of_an_answer_is_that_of_simulated_seeds() -> None:
    """True differences that are all as likely, and gave the present estimate, get an answer by more seeds as often."""
    rng, draws, items = np.random.default_rng(0), 2_000_000, 0.01
    race = state([0, 0.4], [60, 60], margin=0.7, most=200, items=items)
    race = replace(race, evidence=replace(race.evidence, noise=SeedNoise(1.0, 0.0, 10_000)))
    true = rng.uniform(-1, 3, draws) + rng.normal(0, math.sqrt(items), draws)  # with the luck of the items
    now = true + rng.normal(0, math.sqrt(2 / 60), draws)
    like = np.abs(now - 0.4) < 0.01
    later = (60 * now[like] + 30 * (true[like] + rng.normal(0, math.sqrt(2 / 30), like.sum()))) / 90
    variance = items + 2 / 90
    level = nominal_level([(items + 2 / 200) / (items + 2 / 60), (items + 2 / 200) / variance], 0.05)
    reach = math.sqrt(variance) * -float(ndtri(level / 2))
    expected = np.mean(np.abs(later) > reach) + np.mean(np.abs(later) < 0.7 - reach)
    assert 0.1 < expected < 0.9
    (pair,) = race.evidence.comparisons
    assert race.chance(pair, (90, 90)) == pytest.approx(expected, abs=0.03)
    assert race.chance(pair, (60, 60)) in (0.0, 1.0), "without new data it is known"


# -- rounds, as a driver has them


class StubFinals:
    """Finals whose models have the scores of a table."""

    def metrics(self, experiment: Experiment) -> list[Any]:
        return [SCORE]

    def statistics(self, metric: object, entry: Entry, test: object, experiment: Experiment) -> list[Any]:
        quality = {7: 31.0, 3: 30.9, 4: 20.0}[entry.finalist.trial]
        return [models(quality, 1, np.random.default_rng(model.config.seed))[0] for model in entry.models]


def racing(folder: Path, **changes: Any) -> tuple[RaceRun, Callable[..., list[Entry]]]:
    """The race of a run directory, and a function that returns all finalists with the models that are planned."""
    changes = {"finals__most_seeds": 6, "finals__margin": 2.0, **changes}
    experiment = experiment_in(folder, **changes)
    definition = SimpleNamespace(part=lambda name: StubFinals(), work_of_report=lambda config: 1.0)
    slots, settings = SimpleNamespace(count=2, gpus=0.0), ("finals", "search", "training")
    run = SimpleNamespace(
        run_dir=folder, definition=definition, **{name: getattr(experiment, name) for name in settings}
    )
    trainer: Any = SimpleNamespace(
        experiment=run,
        slots=slots,
        budget=lambda spent: make_budget(experiment, 2, 0.0, spent),
        keep_safe=lambda: None,
    )
    finalists = [Finalist(trial, {"model.d_model": 64}, 4, 20.0) for trial in (7, 3, 4)]
    plan = FinalsPlan(experiment, finalists)
    race = RaceRun(trainer, plan)

    def entries(failed: int | None = None) -> list[Entry]:
        made = []
        for finalist in finalists:
            points = [p for n, p in enumerate(plan.points) if p["finalist"] == finalist.trial and n != failed]
            line = make_line(0, make_report(4, 20.0))
            mine = [
                FinalModel("translation", plan.config(point), finalist.trial, 0, 1.0, folder, [line])
                for point in points
            ]
            made.append(Entry(finalist, mine, [SimpleNamespace(score=float(finalist.trial)) for _ in mine]))
        return made

    return race, entries


def test_rounds_go_on_to_an_answer_and_are_the_same_after_a_kill(tmp_path: Path) -> None:
    race, entries = racing(tmp_path)
    assert len(race.plan.points) == 6
    rounds = 0
    while race.goes_on(entries(), None, Spent()):
        rounds += 1
        assert len(race.plan.points) == 6 + 2 * rounds and rounds < 8
        again, _ = racing(tmp_path)  # another driver, after a kill
        assert again.plan.points == race.plan.points
    assert (
        rounds
        and race.rounds
        and race.rounds.ended == ("every finalist differs from the best one, or is equivalent to it")
    )
    assert all(point["finalist"] != 4 for point in race.plan.points[6:]), "it is far behind"
    assert len({tuple(point.values()) for point in race.plan.points}) == len(race.plan.points)
    assert not racing(tmp_path)[0].goes_on(entries(), None, Spent()), "it stays over"
    looks = race.rounds.looks(entries())
    assert looks.seeds[0] == [2, 2, 2] and looks.seeds[-1] == [len(entry.models) for entry in entries()]
    assert f"{len(race.plan.points)} trainings in {rounds + 1} rounds" in race.rounds.explain()[0]


def test_a_race_ends_with_the_budget_and_with_nothing_to_compare(tmp_path: Path) -> None:
    for folder in ("budget", "alone", "zero"):
        (tmp_path / folder).mkdir()
    race, entries = racing(tmp_path / "budget", search__budget={"epochs": 48})
    assert not race.goes_on(entries(), None, Spent(epochs=45))
    assert race.rounds and race.rounds.ended == "search.budget.epochs 48 has 3 epochs left, and 4 are needed"
    race, entries = racing(tmp_path / "alone")
    assert not race.goes_on(entries()[:1], None, Spent())
    assert race.rounds and race.rounds.ended == "there is only one finalist"
    race, entries = racing(tmp_path / "zero", finals__most_seeds=None)
    assert race.rounds is None and not race.goes_on(entries(), None, Spent())
    assert not (tmp_path / "zero" / FILE).exists()


def test_a_training_that_failed_counts_as_given_but_not_as_seen(tmp_path: Path) -> None:
    race, entries = racing(tmp_path)
    assert race.goes_on(entries(failed=0), None, Spent()) and race.rounds
    assert race.rounds.looks(entries(failed=0)).seeds[0] == [1, 2, 2]


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    racing(tmp_path)
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text().replace("finalist", "finalism"))
    with pytest.raises(UserError, match=FILE):
        Rounds.read(tmp_path)


@pytest.mark.parametrize("seeds", [0, 1, 4, 5])
def test_a_race_needs_two_seeds_and_room(seeds: int) -> None:
    with pytest.raises(ValidationError, match=r"give finals\.seeds 2 to 3"):
        Experiment.model_validate({"finals": {"seeds": seeds, "most_seeds": 4}})


# -- what a ranking leaves open


def told(gap: float, ci: tuple[float, float], items: float = 0.01, degrees: int = 2, **settings: Any) -> str:
    pair = Comparison(0, 1, gap, ci, 0.5, 0.5, 0.5, 0.5)
    evidence = Evidence([(0, 1)] * 2, [pair], [1, 1], SeedNoise(0.16, 0.0, degrees), {(0, 1): items})
    finalists = [Trained(7, 2, 1800.0), Trained(3, 3, 3600.0)]
    given = Settings(**{"margin": None, "price": None, **settings})
    (sentence,) = explain_open_pairs(finalists, evidence, TEST_BLEU, 1000, given)
    return sentence


def test_what_would_tell_two_finalists_apart_is_said() -> None:
    within = "Trials 7 and 3 are equal to within 1.3 BLEU (95%)"
    assert told(0.5, (-0.2, 1.21)) == f"{within}; to tell them apart would take about 14 more seeds each (21 h 30 min)."
    assert told(0.5, (-0.2, 1.21), price=2.0).endswith("(21 h 30 min, $43.00).")
    assert told(0.5, (-0.2, 1.21), items=0.2) == (
        f"{within}; more seeds would not tell them apart, but a test of about 6,300 sentences might."
    )
    assert told(0.0, (-1.21, 1.21)) == f"{within}; they are too close to be told apart at a reasonable cost."
    assert told(0.5, (-0.2, 1.21), degrees=0).startswith(f"{within} as they were trained; with one seed each")
    assert told(0.5, (-0.2, 1.21), margin=1.5) == (
        "Trials 7 and 3 are equivalent: they are equal to within 1.3 BLEU (95%), and finals.margin is 1.5."
    )
