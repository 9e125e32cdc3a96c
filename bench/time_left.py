"""How far off the time left was, for finished searches, which are replayed from their logs.

python bench/time_left.py RUN [RUN ...]

Prints a row for each: the estimates at 10, 25, 50 and 75 percent of the time from the start to the report, relative to
the time that was really left. Nothing is trained, and the runs are only read.
"""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from search.engine.proposals import Plan, expected_trials, make_budget, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import Work
from search.finals.choosing import FinalsPlan, read_finalists
from search.planning.made_up import JournalInMemory, NoCheckpoints, VirtualStudy
from search.planning.seen import Trials
from search.planning.time_left import TimeLeft
from search.record.budget import Spent, spent_on
from search.record.journal import JournalLine, read_lines
from search.record.study import Study
from search.samplers import Proposal
from search.schedulers.unranked import ToTheEnd
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from search.space.space import Params
from trainables.base.config import TrialConfig

SHARES = (0.1, 0.25, 0.5, 0.75)
EVENT = re.compile(r"([-\d]{10} [:\d]{8})Z \S+ +(.*)")


class Recorded:
    """A sampler that proposes the trials of a search in their order."""

    def __init__(self, experiment: Experiment, params: list[Params]):
        self.base, self.params, self.distributions = experiment.trial, params, experiment.space.to_optuna()

    def propose(self, study: Study) -> Proposal | None:
        number = len(study.trials)
        return Proposal(self.params[number]) if number < len(self.params) else None

    def config(self, params: Params) -> TrialConfig:
        return self.base.with_values(params)


class Replay:
    """A finished search, replayed with the times of its log."""

    def __init__(self, run: Path):
        self.run, self.experiment = run, stored_experiment(run, trust=True)
        self.events = list(_events(run / "driver.log"))
        self.start, self.end = self.events[0][0], self.events[-1][0]
        self.now = self.start
        (self.slots,) = {
            int(found[1]) for _, text in self.events if (found := re.match(r"(\d+) trials? at a time", text))
        }
        self.left = TimeLeft(self.experiment, self.slots, lambda: self.now)
        self.work = self._begin("trial", Spent())

    def ratios(self) -> list[float | None]:
        """The estimates at each of SHARES, relative to the time that was really left."""
        waiting = [self.start + share * (self.end - self.start) for share in SHARES]
        found: list[float | None] = []
        reports = iter(read_lines(self.run / "trials.jsonl"))
        total = len(read_lines(self.run / "trials.jsonl"))
        for time, text in self.events:
            while waiting and time >= waiting[0]:
                self.now = waiting.pop(0)
                left = self.left.left
                found.append(None if left is None else left.seconds / (self.end - self.now))
            self.now = time
            if " goes to a worker" in text:
                if self.kind == "trial" and len(self.work.journal.lines) == total:
                    self.work = self._begin("final", spent_on(self.work.study, self.work.journal.totals))
                    reports = iter(read_lines(self.run / "finals.jsonl"))
                elif not self.work.study.trials:
                    self.begun = time
                self.work.next(10**6)
            elif " reports epoch " in text:
                self._take(next(reports))
        return found

    def _begin(self, kind: Literal["trial", "final"], before: Spent) -> Work:
        experiment, self.kind, self.begun = self.experiment, kind, self.now
        study, journal = VirtualStudy(experiment.search.direction), JournalInMemory()
        budget = make_budget(experiment, self.slots, 0.0, before)
        if kind == "trial":
            stored = Study(self.run / "study.db", "search", experiment.search.direction, "read")
            plan: Plan = Recorded(experiment, [trial.params for trial in stored.trials.values()])
            rules = Rules(plan, make_scheduler(experiment))  # the log has the end of the budget
            self.left.begin(
                Trials("trial", study, journal, plan, budget, expected_trials(experiment, make_scheduler(experiment)))
            )
        else:
            plan = FinalsPlan(experiment, read_finalists(self.run / "finalists.json"))
            rules = Rules(plan, ToTheEnd())
            self.left.begin(Trials("final", study, journal, plan, budget, len(plan.points)))
        return Work(experiment, Records(study, journal, NoCheckpoints(Path())), rules, [self.left])

    def _take(self, line: JournalLine) -> None:
        self.work.study.wall_seconds = self.now - self.begun
        if not self.work.reported(line.trial, line.report):
            self.work.released(line.trial, crashed=False)


def _events(log: Path) -> Iterator[tuple[float, str]]:
    for line in log.read_text(encoding="utf-8").splitlines():
        if found := EVENT.match(line):
            yield datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp(), found[2]


def main(runs: list[str]) -> None:
    print("| run | trials at a time | minutes |", *(f"at {share:.0%} |" for share in SHARES))
    print("|---" * (3 + len(SHARES)) + "|")
    for name in runs:
        replay = Replay(Path(name))
        cells = ["–" if ratio is None else f"{ratio:.2f}" for ratio in replay.ratios()]
        print(f"| {name} | {replay.slots} | {(replay.end - replay.start) / 60:.1f} |", *(f"{cell} |" for cell in cells))


if __name__ == "__main__":
    main(sys.argv[1:])
