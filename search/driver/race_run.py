"""The race of the finals: after each round of trainings, which further ones there are."""

from collections.abc import Sequence

from search.driver.study_run import Trainer
from search.finals.choosing import FinalsPlan
from search.finals.leaderboard import Entry, compare, rank
from search.finals.protocol import Finals
from search.finals.race import FUTILE, Race
from search.finals.rounds import Rounds
from search.finals.stages import TestMetric
from search.record.budget import Spent
from search.settings.wording import count
from search.space.space import Params
from trainables.base.log import say


class RaceRun:
    """The rounds of a race, each decided from the test scores of all trainings before, and written before it begins."""

    def __init__(self, trainer: Trainer, plan: FinalsPlan):
        """plan: with the first seeds; it gets the points of all rounds that have begun."""
        self.trainer, self.experiment, self.plan = trainer, trainer.experiment, plan
        run_dir, most = self.experiment.run_dir, self.experiment.finals.most_seeds
        self.rounds = (Rounds.read(run_dir) or Rounds(run_dir, most, [list(plan.points)])) if most else None
        if self.rounds:
            plan.points = self.rounds.given
            self.rounds.write()

    def goes_on(self, entries: list[Entry], test: object, spent: Spent) -> bool:
        """Add another round to the plan; returns False if the race is over, or the finals are none.

        entries: the finalists with all their models. test: what `Finals.open` returned. spent: by search and finals.
        """
        rounds = self.rounds
        if rounds is None or rounds.ended is not None:
            return False
        finals: Finals = self.experiment.definition.part("finals")
        metric = finals.metrics(self.experiment)[0]
        ranked = rank(entries, metric)
        if (reason := _nothing_to_compare(ranked, metric)) is None:
            statistics = [finals.statistics(metric, entry, test, self.experiment) for entry in ranked]
            looks = rounds.looks(ranked)
            evidence = compare(ranked, statistics, metric, looks)
            race = Race(evidence, looks, list(map(self._cost, ranked)), self.experiment.finals.margin)
            reason = _answered(race) or self._begin_round(race, ranked, spent)
        rounds.ended = reason
        rounds.write()
        self.trainer.keep_safe()
        if reason is not None:
            say(f"race: it is over, as {reason}")
        return reason is None

    def _cost(self, entry: Entry) -> float:
        """What a training of a finalist costs: device seconds, or its work where a search must not depend on time."""
        if self.experiment.search.deterministic:
            return self.experiment.definition.work_of_report(entry.models[0].config)
        return entry.device_seconds or 1.0

    def _begin_round(self, race: Race, ranked: Sequence[Entry], spent: Spent) -> str | None:
        """Add a training for each slot, or as many as the budget has room for. Returns why there is none."""
        assert self.rounds
        trials = [entry.finalist.trial for entry in ranked]
        given = [sum(point["finalist"] == trial for point in self.plan.points) for trial in trials]
        budget, gpus = self.trainer.budget(spent), self.trainer.slots.gpus or 1.0
        points: list[Params] = []
        cost, reason = Spent(), "the finalists that it is about have all their seeds"
        while len(points) < self.trainer.slots.count and (place := race.next(given)) is not None:
            seconds = ranked[place].device_seconds
            wall = max(cost.wall_seconds, seconds / gpus)
            cost = Spent(cost.epochs + self.experiment.training.epochs, cost.device_seconds + seconds, wall)
            if (refused := budget.refuses(cost)) is not None:
                reason = refused
                break
            points.append(self.plan.next_point(trials[place]))
            self.plan.points.append(points[-1])
            given[place] += 1
        if not points:
            return reason
        self.rounds.points.append(points)
        where = ", ".join(str(point["finalist"]) for point in points)
        say(f"race: {count(len(points), 'further seed', 'further seeds')} (trials {where})")
        return None


def _nothing_to_compare(ranked: Sequence[Entry], metric: TestMetric) -> str | None:
    """Why the finalists can't be compared, as the rest of a sentence; None if they can."""
    if len(ranked) == 1:
        return "there is only one finalist"
    if not metric.metric.tells_apart([entry.score for entry in ranked]):
        return f"{metric.short} can't compare the finalists"
    if all(len(entry.models) == 1 for entry in ranked):
        return "no finalist has two models, so it is not known how much seeds differ"
    return None


def _answered(race: Race) -> str | None:
    """Why no further training is wanted; None if one is."""
    if not race.unanswered:
        return "every finalist differs from the best one, or is equivalent to it"
    if (promise := race.promise) < FUTILE:
        return f"even with {race.looks.most} seeds each, an answer has a probability of {promise:.2f} only"
    return None
