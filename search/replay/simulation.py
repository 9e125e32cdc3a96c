"""Simulates a search on a table, with the real sampler and scheduler and a virtual clock."""

import heapq
from dataclasses import dataclass

from search.engine.decisions import carry_out, let_pass
from search.record.study import Study
from search.record.trial import StudyTrial
from search.replay.tables import Table
from search.samplers import Sampler
from search.schedulers.base import Scheduler
from trainables.base.outcomes import Outcome


@dataclass(frozen=True)
class Found:
    """What a simulated search found."""

    finished: list[float]  # the final scores of finished runs, in their order
    killed: bool  # whether the best started configuration was stopped, or left waiting at a rung


@dataclass(frozen=True)
class Until:
    """When a search of whole runs ends: after `least` runs if one has reached the target, or after `most`."""

    least: int
    most: int
    target: float


def evaluate(table: Table, sampler: Sampler, workers: int, until: Until) -> list[float]:
    """The scores of the systems in the order in which they end; each is a whole run, and all take equally long."""
    study = Study(None, "replay", "maximize")
    distributions = table.space.to_optuna()
    running: list[StudyTrial] = []
    scores: list[float] = []
    most = min(until.most, len(table.systems))
    while len(scores) < most and (len(scores) < until.least or max(scores) < until.target):
        while len(running) < workers and (proposal := sampler.propose(study)) is not None:
            running.append(study.add(proposal.params, distributions, proposal.memory))
        trial = running.pop(0)
        scores.append(table.system(trial.params).score)
        study.report(trial, 1, scores[-1])
        study.finish(trial, Outcome.COMPLETED)
    return scores


class CurveSimulation:
    """Workers train systems of a table checkpoint by checkpoint, each of cost 1, until a budget is spent."""

    def __init__(self, table: Table, sampler: Sampler, scheduler: Scheduler, workers: int, budget: float):
        self.table, self.sampler, self.scheduler, self.budget = table, sampler, scheduler, budget
        self.study = Study(None, "replay", "maximize")
        self.distributions = table.space.to_optuna()
        self.live: set[int] = set()
        self.finished: list[float] = []
        self.spent = 0
        self.clock: list[tuple[int, int, int]] = []  # (time of the next checkpoint, order, trial)
        self.order = 0
        for _ in range(workers):
            self._occupy(0)

    def run(self) -> Found:
        """Search until the budget is spent or nothing is left. Returns what was found."""
        while self.clock and self.spent < self.budget:
            time, _, number = heapq.heappop(self.clock)
            self.spent += 1
            if self._goes_on(self.study.trials[number]):
                self._push(time + 1, number)
            else:
                self.live.discard(number)
                self._occupy(time)
        started = self.study.trials.values()
        best = max(started, key=lambda trial: self.table.system(trial.params).score)
        killed = best.outcome == Outcome.STOPPED or best.parked(self.scheduler.rungs)
        return Found(self.finished, killed)

    def _occupy(self, time: int) -> None:
        """Give a free worker a promoted or new trial."""
        trial = self.scheduler.promote(self.study, self.live)
        if trial is not None:
            let_pass(self.study, trial)
        elif (proposal := self.sampler.propose(self.study)) is not None:
            trial = self.study.add(proposal.params, self.distributions, proposal.memory)
        if trial is not None:
            self.live.add(trial.number)
            self._push(time + 1, trial.number)

    def _push(self, time: int, number: int) -> None:
        self.order += 1
        heapq.heappush(self.clock, (time, self.order, number))

    def _goes_on(self, trial: StudyTrial) -> bool:
        """Take the trial's next checkpoint. Returns whether its worker continues with it."""
        system = self.table.system(trial.params)
        checkpoint = len(trial.scores) + 1
        self.study.report(trial, checkpoint, system.curve[checkpoint - 1])
        if checkpoint == len(system.curve):
            self.finished.append(system.score)
            self.study.finish(trial, Outcome.COMPLETED, value=system.score)
            return False
        decision = self.scheduler.decide(self.study, trial)
        carry_out(decision, self.study, trial, self.scheduler.rungs)
        return decision == "go"
