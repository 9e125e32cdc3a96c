"""What every scheduler keeps to, and the rule of each kind."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from search.engine.decisions import add_heir, carry_out, let_pass
from search.engine.proposals import make_scheduler
from search.goals.costs import Cost
from search.record.forecasting import fit, misleads
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers import SCHEDULERS, Decision, Scheduler, Task, arrivals
from search.schedulers.base import Breeder
from search.schedulers.front import FrontPromotion
from search.schedulers.gentle import Gentle
from search.schedulers.halving import Halving
from search.schedulers.median import MedianStopping
from search.schedulers.population import Population, perturb
from search.schedulers.promotion import Hyperband, Promotion
from search.settings.experiment import Experiment
from search.space.space import SearchSpace
from trainables.base.config import TrainingConfig
from trainables.base.outcomes import Outcome

EPOCHS = 8
TRIALS = 16
KINDS = list(SCHEDULERS)
FRONT = "asha_promotion with costs"
RATES = {"training.learning_rate": {"min": 0.001, "max": 0.1, "distribution": "log_uniform_values"}}
Direction = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")


def scheduler_of(kind: str) -> Scheduler:
    if kind == FRONT:
        return FrontPromotion((2, 4), 3, (Cost("alike", known=lambda params: 1.0),))
    search = {"scheduler": kind, "trials": TRIALS}
    return make_scheduler(Experiment.model_validate({"training": {"epochs": EPOCHS}, "space": RATES, "search": search}))


class Field:
    """A study whose trials report what a test says, in merit: more is better, whatever the direction."""

    def __init__(self, file: Path | None, direction: Direction = "maximize"):
        self.file, self.direction = file, direction
        self.study = Study(file, "s", direction)

    def trial(self, *merits: float) -> StudyTrial:
        """A new trial with these epochs reported."""
        return self.report(self.study.add({}, {}), *merits)

    def report(self, trial: StudyTrial, *merits: float) -> StudyTrial:
        for merit in merits:
            self.study.report(trial, trial.progress + 1, merit if self.direction == "maximize" else -merit)
        return trial

    def end(self, trial: StudyTrial, outcome: str) -> StudyTrial:
        self.study.finish(trial, Outcome(outcome))
        return trial

    def act(self, scheduler: Scheduler, trial: StudyTrial) -> Decision:
        """Decide and write, as `Work` does."""
        decision = scheduler.decide(self.study, trial)
        carry_out(decision, self.study, trial, scheduler.rungs)
        return decision

    def promoted(self, scheduler: Scheduler) -> int | None:
        """The number of the trial that is promoted, and written so."""
        trial = scheduler.promote(self.study, set())
        if trial is None:
            return None
        let_pass(self.study, trial)
        return trial.number

    def breed(self, scheduler: Breeder) -> StudyTrial | None:
        """Make the next heir, as `Work` does."""
        heir = scheduler.heir(self.study)
        return None if heir is None else add_heir(self.study, heir, {})


@pytest.fixture(params=DIRECTIONS)
def field(request: pytest.FixtureRequest) -> Field:
    return Field(None, request.param)


# -- every kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_described_and_made_with_the_rungs_that_it_says(kind: str) -> None:
    settings = SCHEDULERS.read(kind)
    assert settings.__doc__ and settings.__doc__ != type(settings).__mro__[1].__doc__, (
        f"say in the docstring of {type(settings).__name__} what {kind} does: `--help` shows it"
    )
    for epochs in (1, 2, 3, 5, 8, 20):
        rungs = settings.all_rungs(epochs)
        assert list(rungs) == sorted(set(rungs)), f"default_rungs of {kind} must rise, as `rungs` does"
        assert all(0 < rung < epochs for rung in rungs), f"a rung of {kind} must lie before the last epoch"
        task = Task(TrainingConfig(epochs=epochs), SearchSpace.model_validate(RATES), TRIALS, 0)
        settings.check(task)
        made = settings.make(task)
        assert isinstance(made, Scheduler), f"{type(made).__name__} needs what search/schedulers/base.py asks for"
        assert made.rungs == rungs, f"make of {kind} must hand on self.all_rungs(task.training.epochs)"
        assert isinstance(made, Breeder) == settings.breeds, f"say in {type(settings).__name__} whether it breeds"
    design = (Path(__file__).parents[1] / "docs" / "explanation" / "searching.md").read_text()
    assert f"\n| `{kind}` " in design, (
        f"say what {kind} does at a rung in the table of schedulers in docs/explanation/searching.md"
    )


def curve(number: int, epoch: int) -> float:
    """Learning curves that cross, of differing quality; every seventh trial diverges in its third epoch."""
    if number % 7 == 5 and epoch == 3:
        return math.nan
    return (number * 37 % 11) * (1 - 0.8**epoch) + (number * 17 % 5) * 0.6**epoch + 0.1 * epoch


def search_all(field: Field, scheduler: Scheduler) -> list[tuple[int, int, Decision]]:
    """One slot, until everything has ended or waits in vain: number, epoch and decision of each report."""
    decisions: list[tuple[int, int, Decision]] = []
    while True:
        trial = scheduler.promote(field.study, set())
        if trial is not None:
            assert trial.parked(scheduler.rungs) and math.isfinite(trial.scores[trial.progress])
            let_pass(field.study, trial)
        elif isinstance(scheduler, Breeder) and (trial := field.breed(scheduler)) is not None:
            assert trial.progress in scheduler.rungs
        elif len(field.study.trials) < TRIALS:
            trial = field.trial()
        else:
            return decisions
        while trial.running:
            field.report(trial, curve(trial.number, trial.progress + 1))
            if trial.progress == EPOCHS:
                field.end(trial, "completed")
                break
            once, twice = (scheduler.decide(field.study, trial) for _ in range(2))
            assert once == twice, "asking changes nothing"
            if trial.progress in scheduler.rungs and trial.number % 5 == 4:
                again = Study(field.file, "s", field.direction)
                assert once == scheduler.decide(again, again.trials[trial.number]), "what is stored decides"
                again.close()
            decisions.append((trial.number, trial.progress, once))
            if not math.isfinite(trial.scores[trial.progress]):
                assert once == "stop"
                field.end(trial, "diverged")
            else:
                carry_out(once, field.study, trial, scheduler.rungs)
            if once == "park":
                break


@pytest.mark.parametrize("kind", [*KINDS, FRONT])
def test_it_decides_by_the_study_alone_and_at_rungs_alone(kind: str, tmp_path: Path) -> None:
    decided = {}
    scheduler = scheduler_of(kind)
    for direction in DIRECTIONS:
        field = Field(tmp_path / f"{direction}.db", direction)
        decided[direction] = search_all(field, scheduler)
        for number, epoch, decision in decided[direction]:
            diverged = math.isnan(curve(number, epoch))
            assert decision == "go" or epoch in scheduler.rungs or (diverged and decision == "stop")
            at_rung = [trial for trial in field.study.trials.values() if epoch in trial.scores]
            leads = all(curve(number, epoch) >= curve(trial.number, epoch) for trial in at_rung)
            assert not (leads and decision == "stop"), "the best is never stopped"
        assert any(trial.outcome == "completed" for trial in field.study.trials.values())
    assert decided["maximize"] == decided["minimize"]


@pytest.mark.parametrize("kind", [*KINDS, FRONT])
def test_the_first_to_arrive_is_not_stopped(kind: str, field: Field) -> None:
    scheduler, first = scheduler_of(kind), field.trial()
    for _ in range(1, EPOCHS):
        field.report(first, 1.0)
        assert scheduler.decide(field.study, first) != "stop"


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [*KINDS, FRONT])
def test_what_is_no_number_never_passes(kind: str, score: float, field: Field) -> None:
    scheduler = scheduler_of(kind)
    for epochs in (1, 2, 4):  # between rungs and at them
        trial = field.trial(*[1.0] * (epochs - 1), score)
        assert scheduler.decide(field.study, trial) == "stop"
        assert scheduler.promote(field.study, set()) is None


@pytest.mark.parametrize("kind", [*KINDS, FRONT])
def test_nobody_in_a_workers_hands_is_promoted(kind: str, field: Field) -> None:
    scheduler = scheduler_of(kind)
    for merit in range(6):
        field.act(scheduler, field.trial(1.0 * merit, 1.0 * merit))
    while (trial := scheduler.promote(field.study, set())) is not None:
        others = scheduler.promote(field.study, {trial.number})
        assert others is None or others.number != trial.number
        let_pass(field.study, trial)  # and none is promoted twice


# -- stopping


def test_halving_passes_the_best_of_those_who_came(field: Field) -> None:
    halving = Halving((1,))
    assert field.act(halving, field.trial(10.0)) == "go"  # the first
    assert field.act(halving, field.trial(5.0)) == "stop"  # 2nd of 2
    assert field.act(halving, field.trial(7.0)) == "go"  # 2nd of 3
    assert field.act(halving, field.trial(10.0)) == "go"  # equal to the best
    assert field.act(halving, field.trial(6.0)) == "stop"  # behind three of five


def test_halving_counts_a_diverged_trial_as_worst_where_it_was_heading(field: Field) -> None:
    halving = Halving((1, 3))
    field.trial(3.0, 3.0, 3.0)
    assert halving.decide(field.study, trial := field.trial(1.0, 1.0, 1.0)) == "stop"  # 2nd of 2
    field.end(field.trial(1.0, 1.0), "failed")
    assert halving.decide(field.study, trial) == "stop"
    field.end(field.trial(1.0, 1.0), "diverged")
    assert halving.decide(field.study, trial) == "go"  # 2nd of 3
    assert halving.decide(field.study, last := field.trial(0.5)) == "stop"  # at rung 1 it counts by its score there
    for _ in range(4):
        assert halving.decide(field.study, last) == "stop"  # behind four, of 5 to 8
        field.end(field.trial(), "diverged")  # on its way to rung 1
    assert halving.decide(field.study, last) == "go"  # 5th of 9


@pytest.mark.parametrize("kind", [Halving, Promotion])
def test_trials_are_ranked_among_comparable_ones(kind: type[Halving | Promotion], field: Field) -> None:
    scheduler = kind((1,), 2, comparable=lambda trial: trial.number % 2)
    best = [scheduler.decide(field.study, field.trial(merit)) for merit in (9.0, 1.0, 8.0, 2.0)]
    assert best == (["go", "go", "stop", "go"] if kind is Halving else ["park", "park", "park", "go"])
    if kind is Promotion:
        assert scheduler.promote(field.study, {3}) is field.study.trials[0]


def test_the_median_rule_compares_the_best_so_far_with_running_averages(field: Field) -> None:
    median = MedianStopping((2, 3))
    for merits in ((1.0, 3.0), (2.0, 6.0)):  # averages 2 and 4
        field.trial(*merits)
    assert median.decide(field.study, weak := field.trial(0.0, 1.0)) == "go", "two others are too few"
    field.trial(5.0, 7.0)  # 6
    assert median.decide(field.study, weak) == "stop"  # median of 2, 4, 6
    assert median.decide(field.study, field.trial(4.0, 0.0)) == "go"  # best so far equals a median of 3 at most
    field.end(field.trial(9.0), "diverged")  # heading for rung 2, counts there as -inf
    assert median.decide(field.study, field.trial(0.0, 2.0)) == "go"  # median of -inf, 0.5, 2, 2, 4, 6
    assert median.decide(field.study, field.trial(0.0)) == "go"


def test_the_median_rule_spares_the_leader_where_all_decline(field: Field) -> None:
    for _ in range(3):
        field.trial(10.0, 1.0)  # average 5.5
    assert MedianStopping((2,)).decide(field.study, field.trial(1.0, 2.0)) == "go"
    assert MedianStopping((2,)).decide(field.study, field.trial(1.0, 1.5)) == "stop"


def test_gentle_stops_what_will_hardly_win_once_four_have_finished(field: Field) -> None:
    gentle = Gentle((1,))
    for merit in (1.0, 2.0, 3.0):
        field.end(field.trial(merit, 2 * merit), "completed")
    assert gentle.decide(field.study, field.trial(0.0)) == "go"  # three have finished
    field.end(field.trial(4.0, 8.0), "completed")
    assert gentle.decide(field.study, field.trial(0.5)) == "stop"
    assert gentle.decide(field.study, field.trial(2.0)) == "go"  # the rung's median
    field.end(field.trial(-50.0), "diverged")
    assert gentle.decide(field.study, field.trial(0.6)) == "stop"


def test_gentle_asks_for_a_chance_to_beat_the_best_of_all_who_finished(field: Field) -> None:
    for merit in (4.0, 3.0, 2.0, 1.0):  # the best came first
        field.end(field.trial(merit, 2 * merit), "completed")
    assert Gentle((1,)).decide(field.study, field.trial(0.5)) == "stop"


def test_gentle_stops_nobody_at_a_rung_that_tells_nothing(field: Field) -> None:
    for at_rung, final in ((1.0, 6.0), (2.0, 1.0), (3.0, 2.0), (4.0, 5.5)):
        field.end(field.trial(at_rung, final), "completed")
    assert Gentle((1,)).decide(field.study, field.trial(0.5)) == "go"


# -- promotion


def test_promotion_waits_until_a_trial_belongs_to_the_best(field: Field) -> None:
    promotion = Promotion((1, 2))
    assert field.act(promotion, field.trial(5.0)) == "park"  # 1 of 1: floor(1/2) = 0
    assert field.promoted(promotion) is None
    assert field.act(promotion, field.trial(6.0)) == "go"  # the best of 2, at once
    assert field.act(promotion, field.trial(4.0)) == "park"  # behind 0 and 1
    assert field.act(promotion, field.trial(5.0)) == "park"  # equal to 0, which is ahead by its number; 2 of 4 pass
    assert field.promoted(promotion) == 0
    assert field.promoted(promotion) is None


def test_promotion_takes_the_highest_rung_first_and_the_best_first(field: Field) -> None:
    promotion = Promotion((1, 2))
    for merit in (1.0, 2.0, 3.0, 4.0, 5.0):
        field.act(promotion, field.trial(merit))
    assert {trial.number for trial in field.study.trials.values() if trial.passed(1)} == {1, 2, 3, 4}
    for number in (1, 2):
        field.act(promotion, field.report(field.study.trials[number], 10.0 - number))
    field.act(promotion, field.trial(6.0))
    for merit in (0.1, 0.2, 0.3, 0.4):
        field.act(promotion, field.trial(merit))
    assert field.promoted(promotion) == 1  # at rung 2
    assert field.promoted(promotion) is None


def test_all_pass_a_rung_that_says_nothing_of_the_end(field: Field) -> None:
    promotion = Promotion((1,))
    for at_rung, final in ((1.0, 6.0), (2.0, 1.0), (3.0, 2.0), (4.0, 5.5), (5.0, 1.5), (6.0, 3.0), (7.0, 0.5)):
        field.end(field.trial(at_rung, final), "completed")
    assert field.act(promotion, field.trial(0.5)) == "park"  # seven ends are too few to doubt the rung
    field.end(field.trial(8.0, 0.7), "completed")
    assert field.act(promotion, field.trial(0.2)) == "go"
    assert field.promoted(promotion) == 7, "who waited goes on, too"


@pytest.mark.parametrize("kind", ["asha", "gentle", "median", FRONT])
def test_every_kind_that_stops_ignores_a_rung_that_misleads(kind: str, field: Field) -> None:
    kinds: dict[str, Scheduler] = {
        "asha": Halving((1,)),
        "gentle": Gentle((1,)),
        "median": MedianStopping((1,)),
        FRONT: FrontPromotion((1,), 3, (Cost("alike", known=lambda params: 1.0),)),
    }
    scheduler = kinds[kind]
    told, misled = [(float(n), 2.0 * n) for n in range(9)], [(float(n), 20.0 - 2 * n) for n in range(9)]
    decided = []
    for ends in (told, misled):
        again = Field(None, field.direction)
        for merits in ends:
            again.end(again.trial(*merits), "completed")
        decided.append(scheduler.decide(again.study, again.trial(0.5)))
    assert decided[0] in ("stop", "park") and decided[1] == "go"


def test_the_model_has_a_word_in_promotion_where_ranks_have_none(field: Field) -> None:
    """Four have reached the rung, of which one passes by rank: others pass by chance, the most likely one first."""
    chances: dict[int, float] = {}
    asked: list[list[int]] = []

    def chance(study: Study, trials: Sequence[StudyTrial]) -> list[float] | None:
        asked.append([trial.number for trial in trials])
        return [chances[trial.number] for trial in trials] if chances else None

    promotion = Promotion((1,), 4, chance=chance)
    assert [field.act(promotion, field.trial(merit)) for merit in (1.0, 4.0, 2.0)] == ["park"] * 3
    assert field.promoted(promotion) is None, "the model can't say yet"
    chances.update({0: 0.2, 1: 0.1, 2: 0.3, 3: 0.19, 4: 0.2})
    assert field.act(promotion, field.trial(3.0)) == "park"
    assert [field.promoted(promotion) for _ in range(4)] == [2, 0, 1, None], "the least likely of them by its rank"
    assert field.act(promotion, field.trial(0.0)) == "go", "it never waits"
    asked.clear()
    field.act(promotion, field.trial(5.0, 5.0))
    assert asked == [], "only at a rung"


def test_the_latest_who_finished_say_whether_a_rung_is_believed(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LATEST", 8)
    misled = list(zip(map(float, range(8)), (6.0, 1.0, 2.0, 5.5, 1.5, 3.0, 0.5, 0.7), strict=True))
    told = [(float(n), 0.7 * n) for n in range(8)]
    for first, then, decision in ((misled, told, "park"), (told, misled, "go")):
        again = Field(None, field.direction)
        for merits in (*first, *then):
            again.end(again.trial(*merits), "completed")
        assert again.act(Promotion((1,)), again.trial(0.0)) == decision
        assert Gentle((1,)).decide(again.study, again.trial(0.5)) == ("stop" if decision == "park" else "go")


def test_a_rung_is_doubted_by_eight_ends_whose_correlation_is_surely_low() -> None:
    """Below 0.3, nine times in ten, by Fisher's z; equal scores, at the rung or at the end, order nothing."""
    equal, rising = (1.0,) * 40, tuple(map(float, range(40)))
    for count in (7, 8, 9, 30):
        few = equal[:count], rising[:count]
        for at_rung, at_end in (few, few[::-1], (few[0], few[0])):
            bound = math.tanh(1.28 / math.sqrt(count - 3))
            assert misleads(at_rung, at_end) == (count >= 8 and bound < 0.3), count
        assert not misleads(few[1], few[1]), "in the same order"
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        count = int(rng.integers(8, 40))
        ranks, ends = rng.permutation(count), rng.permutation(count)
        correlation = float(np.corrcoef(ranks, ends)[0, 1])  # of ranks
        doubted = math.atanh(correlation) + 1.28 / math.sqrt(count - 3) < math.atanh(0.3)
        assert misleads(tuple(ranks.tolist()), tuple(ends.tolist())) == doubted
        seen.add(doubted)
    assert seen == {True, False}


@pytest.mark.parametrize("correlation", [0.9, 0.6])
def test_a_rung_that_predicts_is_believed(correlation: float) -> None:
    rng = np.random.default_rng(0)
    doubted = 0
    for _ in range(50):
        at_rung, noise = rng.normal(size=(2, 16))
        at_end = correlation * at_rung + math.sqrt(1 - correlation**2) * noise
        doubted += misleads(tuple(at_rung), tuple(at_end))
    assert doubted <= 1


def test_a_diverged_trial_lets_another_be_promoted_but_never_goes_on(field: Field) -> None:
    promotion = Promotion((1, 2))
    for merit in (3.0, 2.0):
        trial = field.trial(merit)
        let_pass(field.study, trial)
        field.act(promotion, field.report(trial, merit))
    assert [t.passed(2) for t in field.study.trials.values()] == [False, False]
    assert field.promoted(promotion) == 0
    for _ in range(2):
        field.end(field.trial(1.0), "diverged")  # on its way to rung 2
    assert field.promoted(promotion) == 1  # 2nd of 4
    for _ in range(4):
        field.end(field.trial(1.0), "diverged")
    assert field.promoted(promotion) is None


def test_hyperband_draws_brackets_in_its_proportions_and_ranks_inside_them(field: Field) -> None:
    hyperband = Hyperband((1, 2))
    brackets = [hyperband.bracket(StudyTrial(number, 0, {})) for number in range(100)]
    shares = [brackets.count(bracket) for bracket in range(3)]
    assert shares == pytest.approx([40, 30, 30], abs=1)  # 2²/3 : 2/2 : 1
    assert all({0, 1, 2} == set(brackets[start : start + 5]) for start in range(95))
    decisions = [field.act(hyperband, field.trial(float(number))) for number in range(10)]
    ranked = [decision for decision, bracket in zip(decisions, brackets, strict=False) if bracket == 0]
    assert ranked == ["park", "go", "go", "go"]  # rising merits, inside bracket 0
    assert all(decision == "go" for decision, b in zip(decisions, brackets, strict=False) if b > 0)
    later = next(number for number, bracket in enumerate(brackets) if bracket == 1)
    assert field.act(hyperband, field.report(field.study.trials[later], 1.0)) == "park"  # its first rung
    last = brackets.index(2)
    assert field.act(hyperband, field.report(field.study.trials[last], -9.0)) == "go"  # it has none


# -- population-based training


def population(size: int = 4, **space: object) -> Population:
    return Population((1, 2), size, SearchSpace.model_validate(space or RATES))


def test_a_generation_waits_for_all_then_the_best_replace_the_worst(field: Field) -> None:
    pbt = population(8)
    for merit in range(7):
        assert field.act(pbt, field.trial(float(merit))) == "park"
    assert pbt.heir(field.study) is None and pbt.promote(field.study, set()) is None, "the last is missing"
    field.end(field.trial(), "diverged")  # it counts as worst
    assert pbt.promote(field.study, set()) is None, "those who are copied don't go on before"
    heirs = [field.breed(pbt)]
    following = [Population(pbt.rungs, 8, pbt.space, seed).heir(field.study) for seed in range(20)]
    assert {heir.parent.number for heir in following if heir} == {5, 6}, "any of the best quarter, and no heir"
    heirs.append(field.breed(pbt))
    assert field.breed(pbt) is None
    for heir, replaced in zip(heirs, (7, 0), strict=True):
        assert heir is not None and heir.attributes.replaces == replaced and heir.attributes.parent in (5, 6)
        assert heir.scores == field.study.trials[heir.attributes.parent].scores and heir.inherited == 1
        assert field.study.trials[replaced].outcome in ("stopped", "diverged")
    assert [field.promoted(pbt) for _ in range(7)] == [6, 5, 4, 3, 2, 1, None]
    for trial in list(field.study.trials.values()):
        if trial.running:
            assert field.act(pbt, field.report(trial, 10.0)) == "park"
    later = [field.breed(pbt), field.breed(pbt)]
    assert [heir.attributes.replaces for heir in later if heir is not None] == [8, 9], "the lower number is ahead"
    assert len(field.study.trials) == pbt.trials


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_heir_follows_from_seed_number_and_study(direction: Direction, tmp_path: Path) -> None:
    field, pbt = Field(tmp_path / "study.db", direction), population()
    for rate in (0.01, 0.02, 0.03, 0.04):
        field.act(pbt, field.report(field.study.add({"training.learning_rate": rate}, pbt.space.to_optuna()), rate))
    again = Study(field.file, "s", field.direction)
    first, second, third = pbt.heir(field.study), pbt.heir(field.study), pbt.heir(again)
    assert first == second and first is not None and third is not None
    assert first.params == third.params and first.parent.number == third.parent.number == 3
    heirs = [Population(pbt.rungs, 4, pbt.space, seed).heir(field.study) for seed in range(12)]
    assert len({heir.params["training.learning_rate"] for heir in heirs if heir is not None}) > 3


def test_perturbed_values_stay_in_their_domains() -> None:
    domains = {
        "training.learning_rate": {"min": 0.001, "max": 0.01, "distribution": "log_uniform_values"},
        "training.warmup_steps": {"min": 10, "max": 30},
        "training.label_smoothing": {"min": 0.0, "max": 0.3, "distribution": "q_uniform", "q": 0.1},
        "training.batch_tokens": {"values": [256, 512, 1024]},
        "training.schedule": {"values": ["cosine", "constant"]},
    }
    space = SearchSpace.model_validate(domains)
    start = {"learning_rate": 0.009, "warmup_steps": 20, "label_smoothing": 0.2, "batch_tokens": 512}
    rng = np.random.default_rng(0)
    for path, domain in space.domains.items():
        old = start.get(path.removeprefix("training."), "cosine")
        new = [perturb(old, domain, rng) for _ in range(300)]
        assert all(value == pytest.approx(domain.near(domain.unit(value))) for value in new)
        moved = sum(value != old for value in new)
        assert moved > 250 if path != "training.schedule" else 15 < moved < 70, path  # words: one in eight
    rates = [perturb(0.005, space.domains["training.learning_rate"], rng) for _ in range(300)]
    near = sum(rate in (pytest.approx(0.004), pytest.approx(0.006)) for rate in rates)
    assert 200 < near < 250


# -- the forecast


def test_a_forecast_follows_the_runs_and_says_how_unsure_it_is() -> None:
    rung, final = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.1, 3.9, 6.0, 8.1, 9.9, 12.0]
    sure = fit(rung, final)
    mean, std = sure.predict(3.5)
    assert mean == pytest.approx(7.0) and 0 < std < 2
    assert sure.predict(9.0)[1] > std, "less sure far away"
    assert sure.predict(9.0)[0] > 12
    unsure = fit(rung, [5.0, 1.0, 4.0, 2.0, 6.0, 3.0])
    assert unsure.predict(3.5)[0] == pytest.approx(3.5) and unsure.predict(3.5)[1] > 1.7
    same = fit([2.0, 2.0, 2.0], [1.0, 2.0, 3.0])
    assert same.predict(5.0)[0] == 2.0
    certain = fit([1.0, 1.0, 1.0], [4.0, 4.0, 4.0]).predict(1.0)
    assert certain[0] == 4.0 and 0 < certain[1] < 1e-6, "a deviation of 0 can't be worked with"
    for bad in ([1.0, 2.0], [1.0, 2.0, math.nan]):
        with pytest.raises(ValueError, match="three or more pairs of finite numbers"):
            fit(bad, [1.0, 2.0, 3.0])
