"""A search from its trials to its report: search, finals, ranking, report. Every step can be resumed."""

from collections.abc import Collection
from contextlib import ExitStack, nullcontext, suppress

from rich.console import Console

from search.cluster.joining import running_ray
from search.cluster.precision import decide_precision, warn_of_emulation
from search.cluster.slots import find_slots
from search.cluster.teardown import check_teardown, take_down
from search.cluster.watchdog import Watchdog
from search.driver.beginning import remove_leftovers
from search.driver.concluding import Remarks, Results, conclude
from search.driver.finals_run import FinalsRun
from search.driver.live_report import LiveReport
from search.driver.ranking_table import ranking_table
from search.driver.standing import conclude_standing, standing_folder
from search.driver.study_run import StudyRun, Trainer
from search.engine.checkpoint_cleaner import CheckpointCleaner
from search.engine.ordering import check_slots
from search.engine.proposals import SearchPlan, expected_trials, make_scheduler
from search.finals.board import Leaderboard
from search.finals.deciding import explain_decisions, explain_rungs
from search.finals.leaderboard import Entry
from search.finals.protocol import Finals
from search.record.budget import spent_on
from search.record.driver_log import driver_log
from search.record.journal import Totals, read_lines
from search.record.study import Study
from search.record.study_file import Mode
from search.remote.run_copy import RunCopy
from search.run_directory.checking import check_frozen, check_study
from search.run_directory.earlier import Earlier
from search.run_directory.inputs import describe_starts, pin_inputs, pin_made
from search.run_directory.prior_sources import keep_prior
from search.run_directory.trust import remember
from search.settings.costs import measure_costs
from search.settings.experiment import Experiment
from search.settings.wording import count, describe
from search.tracking.tracker import Tracker
from trainables.base.installed import version_of
from trainables.base.locks import DriverLock
from trainables.base.log import logger, say, warn
from trainables.sharing.storage import Storage


class SearchRun:
    """The work of one driver on a run directory."""

    def __init__(self, experiment: Experiment, said: Collection[str], storage: Storage | None, console: Console):
        """said: the keys that the user set, see `trust.py`."""
        self.experiment, self.said, self.storage, self.console = experiment, said, storage, console
        self.run_dir = experiment.run_dir
        self.copy: RunCopy | None = None
        self.concluded = False  # whether ranking, best model and report are written

    def run(self) -> None:
        """Run the search, or the rest of it. Raises UserError for what the user can fix."""
        check_teardown(self.experiment)
        from search.planning.own_plan import OwnPlan  # takes seconds

        self.plan = OwnPlan(self.experiment) if self.experiment.definition.planning else None
        if self.plan and not (self.run_dir / "study.db").exists():
            self.plan.check_memory()
        self.slots = find_slots(self.experiment, self.console, self.storage)
        check_slots(self.experiment, self.slots.count, self.slots.gpus)
        if not (self.run_dir / "experiment.yaml").exists():
            decided = decide_precision(self.experiment, self.slots, self.console, self.storage)
            if decided is not self.experiment:
                self.experiment, self.plan = decided, self.plan and OwnPlan(decided)
        warn_of_emulation(self.experiment, self.slots)
        try:
            self._run()
        finally:
            if self.concluded and self.experiment.teardown:
                self._take_down()

    def _run(self) -> None:
        with ExitStack() as stack:
            self.lock = lock = DriverLock(self.run_dir)
            stack.callback(lock.release)
            remove_leftovers(self.run_dir)
            stack.enter_context(driver_log(self.run_dir))
            logger.info("driver %d of this run starts: babeltune %s", lock.incarnation, version_of("babeltune"))
            if self.storage:
                self.copy = stack.enter_context(RunCopy(self.storage, self.run_dir))
            remember(self.experiment, self.said)
            self.earlier = Earlier(self.run_dir)
            self.earlier.recover()
            search, finals = self._studies()
            if not (self.run_dir / "finalists.json").exists():
                measure_costs(self.experiment, self.console)
            where = f"{self.slots.gpus:.3g} GPU" if self.slots.gpus else "one CPU thread"
            say(f"{count(self.slots.count, 'trial', 'trials')} at a time, each on {where}; {self.run_dir}")
            if self.plan and not search.trials:
                self.plan.tell(self.slots)
            with Tracker(self.experiment, self.earlier) as tracker:
                trainer = Trainer(
                    experiment=self.experiment,
                    slots=self.slots,
                    lock=lock,
                    storage=self.storage,
                    tracker=tracker,
                    console=self.console,
                    keep_safe=self._keep_safe,
                )
                cluster = self.experiment.cluster
                say("starting: Ray and the processes that train")
                with (
                    LiveReport(self.run_dir) as trainer.live,
                    running_ray(cluster, self.slots.count, online=self.storage is not None),
                    Watchdog(self.run_dir, lock, cluster, self.experiment.search.watchdog_seconds) as trainer.watchdog,
                ):
                    if (self.run_dir / "finalists.json").exists():
                        tracker.show_trials(search)
                    else:
                        self._search(search, trainer)
                    tracker.searched()
                    entries = FinalsRun(trainer, self.earlier).run(search, finals)
                say("report: what was found is put together")
                board = self._conclude(trainer, search, finals, entries)
                self.concluded = True
                tracker.finished(board)
                self._announce(board)

    def _take_down(self) -> None:
        """End the cluster, which costs money, even if the terminal is gone."""
        with suppress(OSError, ValueError):
            say("the cluster is being ended")
        if failed := take_down():
            warn(f"the cluster may still cost money: end it by `ray down`; {failed}")

    def _studies(self) -> tuple[Study, Study]:
        """The studies of the search and of its finals, once the run is updated to the present experiment."""
        check_frozen(self.run_dir, self.earlier.test_opened())
        for changed in pin_inputs(self.experiment):
            warn(f"{changed}: from here on training may differ in the last digits")
        moves = self.earlier.moves(self.experiment)
        with self.copy.taking_over(moves) if self.copy else nullcontext():
            for message in self.earlier.extend(self.experiment):
                say(message)
        search, finals = self._opened("search", "trials.jsonl"), self._opened(self.earlier.finals_name, "finals.jsonl")
        self._pin_made(search)
        return search, finals

    def _pin_made(self, search: Study) -> None:
        pin_made(self.experiment, [self.experiment.trial.with_values(trial.params) for trial in search.trials.values()])

    def _opened(self, name: str, journal: str) -> Study:
        """Open a study, and check it against its journal. The study is created if the run is new."""
        begun = (self.run_dir / journal).exists() or (self.run_dir / "finalists.json").exists()
        mode: Mode = "old" if begun else "new"
        study = Study(self.run_dir / "study.db", name, self.experiment.search.direction, mode)
        check_study(study, self.run_dir / journal, self.experiment)
        return study

    def _keep_safe(self) -> None:
        """Check that this driver still owns the run, and send the run to the storage, if there is one."""
        self.lock.check()
        if self.copy:
            self.copy.send()

    def _search(self, study: Study, trainer: Trainer) -> None:
        settings = self.experiment.search
        plan = SearchPlan(self.experiment, keep_prior(self.experiment))
        scheduler = make_scheduler(self.experiment, plan.chance)
        expected = expected_trials(self.experiment, scheduler)
        cleaner = CheckpointCleaner(trainer.checkpoints("trial"), keep_completed=self.experiment.finals.seeds == 0)
        cleaner.sweep(study.over)
        trainer.train(StudyRun("trial", study, plan, scheduler, expected, self.earlier.spent(), [cleaner]))
        if study.ended:
            say(f"the search ends with {count(len(study.trials), 'trial', 'trials')}: {study.ended}")
        elif settings.trials is None:
            say(f"all {len(study.trials)} valid configurations of the space were tried")
        elif len(study.trials) < (settings.trials or 0):
            warn(
                f"the space has only {len(study.trials)} valid configurations: all were tried, "
                f"though search.trials is {settings.trials}"
            )

    def _conclude(self, trainer: Trainer, study: Study, finals_study: Study, entries: list[Entry]) -> Leaderboard:
        """Rank the finalists, and write leaderboard, best model and report."""
        trials, finals = read_lines(self.run_dir / "trials.jsonl"), read_lines(self.run_dir / "finals.jsonl")
        searched = spent_on(study, Totals(trials))
        retrained = spent_on(finals_study, Totals(finals))
        spent = self.earlier.spent() + searched + retrained
        spending = trainer.budget(spent).describe() + ([study.ended] if study.ended else [])
        self._pin_made(study)
        notes = explain_decisions(study, self.experiment) + explain_rungs(study, self.experiment)
        notes += describe_starts(self.run_dir)
        planned = self.plan.compare(searched, searched + retrained) if self.plan else []
        remarks = Remarks(self.earlier.test_opened(), spending, planned, notes)
        results = Results(study, trials, finals, entries)
        if (standing := standing_folder(self.earlier)) is not None:
            return conclude_standing(standing, self.experiment, results, remarks)
        return conclude(self.experiment, results, remarks)

    def _announce(self, board: Leaderboard) -> None:
        finals: Finals = self.experiment.definition.part("finals")
        by, *others = finals.metrics(self.experiment)
        self.console.print(ranking_table(board, by, others, self.experiment.search.metrics))
        for note in board.notes:
            warn(note)
        for sentence in board.outlook:
            say(sentence)
        for line in board.ranking:
            costs = [f"; {name} {cost:.4g}" for name in self.experiment.search.besides if (cost := line.cost(name))]
            say(f"trial {line.trial}: {describe(line.config)}{''.join(costs)}")
        best, report = self.run_dir / "best", self.run_dir / "report.html"
        signature = board.signatures.get(by.name.removeprefix("test_"))
        say("".join(f"{by.short} {line}\n" for line in (signature,) if line) + f"best model: {best}\nreport: {report}")
