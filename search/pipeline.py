"""A search from trials to report: search, finals, rank, report. Every step can be entered again."""

import math
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Literal

from rich.console import Console

from search.budget import Budget, Spent, spent_on
from search.checkpoint_cleaner import CheckpointCleaner
from search.cluster.joining import count_workers, running_ray
from search.cluster.slots import find_slots
from search.cluster.teardown import check_teardown, take_down
from search.cluster.tuning import run_work
from search.concluding import conclude
from search.earlier import Earlier
from search.experiment import Experiment
from search.finals.choosing import FinalsPlan, choose_finalists, freeze_finalists, read_finalists
from search.finals.leaderboard import Entry
from search.finals.neural_metric import neural_score
from search.finals.scoring import FinalModel, score_all
from search.journal import Journal, Totals, read_lines
from search.prior_sources import keep_prior
from search.progress import TrialProgress, ranking_table
from search.proposals import Plan, SearchPlan
from search.run_copy import RunCopy
from search.schedulers import Scheduler, make_scheduler
from search.schedulers.population import Population
from search.schedulers.unranked import ToTheEnd
from search.settling import Settled
from search.study import Study, StudyTrial
from search.tracking.tracker import Tracker
from search.wording import count, describe
from search.work import Listener, Work
from trainables.checkpoint import KEEP
from trainables.checkpoint_places import Checkpoints
from trainables.config import TrialConfig
from trainables.corpus import read_test
from trainables.errors import UserError
from trainables.locks import DriverLock
from trainables.storage import Storage


class SearchRun:
    """One driver's work on a run directory."""

    def __init__(self, experiment: Experiment, storage: Storage | None, console: Console):
        self.experiment, self.storage, self.console = experiment, storage, console
        self.run_dir = experiment.run_dir
        check_teardown(experiment)
        self.slots = find_slots(experiment, console, self.storage)
        self.copy: RunCopy | None = None

    def run(self) -> None:
        """Run the search, or what is left of it. Raises UserError for what the user can mend."""
        with ExitStack() as stack:
            lock = DriverLock(self.run_dir)
            stack.callback(lock.release)
            if self.storage:
                self.copy = stack.enter_context(RunCopy(self.storage, self.run_dir, self._warn))
            self.earlier = Earlier(self.run_dir)
            kept = (self.run_dir / "study.db").exists() or self.earlier.waiting
            if (self.run_dir / "trials.jsonl").exists() and not kept:
                raise UserError(f"{self.run_dir}: study.db is missing; restore it, or start a new search")
            moves = self.earlier.moves(self.experiment)
            with self.copy.extension(moves) if self.copy else nullcontext():
                for message in self.earlier.extend(self.experiment):
                    self._say(message)
            direction = self.experiment.search.direction
            search = Study(self.run_dir / "study.db", "search", direction)
            finals = Study(self.run_dir / "study.db", self.earlier.finals_name, direction)
            where = f"{self.slots.gpus:.3g} GPU" if self.slots.gpus else "one CPU thread"
            self._say(f"{self.slots.count} trials at a time, each on {where}; {self.run_dir}")
            with Tracker(self.experiment, self.earlier, self._say, self._warn) as self.tracker:
                with running_ray(self.experiment.cluster, self.slots.count, online=self.storage is not None):
                    if (self.run_dir / "finalists.json").exists():
                        self.tracker.show_trials(search)
                    else:
                        self._search(search, lock)
                    self.tracker.searched()
                    entries = self._finals(search, finals, lock)
                self._finish(search, finals, entries)
        if self.experiment.teardown:
            self._say("the cluster is taken down")
            if failed := take_down():
                self._warn(f"the cluster may still cost: end it by `ray down`; {failed}")

    def _keep_safe(self) -> None:
        """What stands in the run directory is in the storage, too, when the call returns."""
        if self.copy:
            self.copy.send()

    def _search(self, study: Study, lock: DriverLock) -> None:
        settings = self.experiment.search
        scheduler = make_scheduler(self.experiment)
        expected = min(settings.trials or math.inf, self.experiment.space.size())
        if isinstance(scheduler, Population):
            expected = scheduler.trials
        checkpoints = Checkpoints(self.run_dir / "trials", self.storage)
        cleaner = CheckpointCleaner(checkpoints, keep_completed=self.experiment.finals.seeds == 0)
        cleaner.sweep(study.over)
        plan = SearchPlan(self.experiment, keep_prior(self.experiment))
        self._train("trial", study, plan, scheduler, expected, [cleaner], lock, self.earlier.spent())
        if study.ended:
            self._say(f"the search ends with {count(len(study.trials), 'trial', 'trials')}: {study.ended}")
        elif len(study.trials) < (settings.trials or 0):
            self._warn(
                f"the space holds only {len(study.trials)} valid configurations: all were tried, "
                f"though search.trials is {settings.trials}"
            )

    def _budget(self, before: Spent) -> Budget:
        experiment = self.experiment
        return Budget(
            config=experiment.search.budget,
            epochs=experiment.training.epochs,
            rungs=experiment.rungs,
            by_steps=experiment.training.unit == "step",
            finals=experiment.num_finals,
            finalists=experiment.finals.top,
            slots=self.slots.count,
            devices=self.slots.gpus or 1.0,
            before=before,
        )

    def _train(
        self,
        kind: Literal["trial", "final"],
        study: Study,
        plan: Plan,
        scheduler: Scheduler,
        expected: float,
        listeners: list[Listener],
        lock: DriverLock,
        spent: Spent,
    ) -> None:
        """Run the trials of a study; `kind` names them, their journal and their folder; `spent` was so far."""
        experiment = self.experiment
        journal = Journal(self.run_dir / f"{kind}s.jsonl")
        budget = self._budget(spent)
        settled = [Settled(experiment.search.metric)] if experiment.search.stop_when_settled else []
        progress = TrialProgress(
            self.console,
            study,
            journal,
            budget,
            kind,
            experiment.search.metric,
            expected,
            None if experiment.cluster is None else count_workers,
        )
        work = Work(
            study,
            journal,
            self.run_dir / f"{kind}s",
            plan,
            scheduler,
            experiment.search.metric,
            experiment.training.epochs,
            experiment.search.max_retries,
            [progress, *self.tracker.listeners(kind, study), *listeners],
            [budget, *settled] if kind == "trial" else [],  # what the finals need was set aside
            experiment.training.report_steps,
            self.storage,
            self._keep_safe,
        )
        with ExitStack() as stack:
            stack.callback(journal.close)
            stack.enter_context(progress)
            if not work.done:
                keep, together = KEEP, 1
                if kind == "final":
                    keep, together = experiment.finals.average_checkpoints, self.slots.runs_each(int(expected))
                run_work(work, self.slots, lock, experiment.cache, keep=keep, together=together)
        self._keep_safe()

    def _finals(self, search: Study, study: Study, lock: DriverLock) -> list[Entry]:
        """Freeze the finalists, retrain them, score all on the test split."""
        experiment = self.experiment
        if not (self.run_dir / "finalists.json").exists():
            self._freeze(search, study)
            self._keep_safe()
        finalists = read_finalists(self.run_dir / "finalists.json")
        # What is wrong with it is told before the retraining.
        test = read_test(experiment.data, self.run_dir, "checking it before the retraining, and scoring after it")
        self._keep_safe()
        models = []
        if experiment.finals.seeds:
            plan = FinalsPlan(experiment, finalists)
            spent = spent_on(search, Totals(read_lines(self.run_dir / "trials.jsonl")))
            spent += self.earlier.spent()
            self._train("final", study, plan, ToTheEnd(), len(plan.points), [], lock, spent)
            for trial in study.trials.values():
                if trial.outcome == "completed":
                    models.append(
                        self._model("final", plan.config(trial.params), trial, int(str(trial.params["finalist"])))
                    )
        else:
            models = [
                self._model(
                    "trial",
                    experiment.trial.with_values(finalist.params),
                    search.trials[finalist.trial],
                    finalist.trial,
                )
                for finalist in finalists
            ]
        if not models:
            raise UserError(f"{self.run_dir}: no finalist could be trained: {_first_failure(study)}")
        with self.console.status("translating the test split"):
            results = score_all(models, test, experiment, self.slots.gpus)
        if name := experiment.finals.neural_metric:
            with self.console.status(f"scoring by {name}"):
                files = [model.folder / "neural.json" for model in models]
                results = [
                    replace(result, neural=neural_score(name, file, test, result.translations))
                    for file, result in zip(files, results, strict=True)
                ]
        entries = []
        for finalist in finalists:
            mine = [pair for pair in zip(models, results, strict=True) if pair[0].trial == finalist.trial]
            if mine:
                entries.append(Entry(finalist, [model for model, _ in mine], [result for _, result in mine]))
            else:
                self._warn(f"trial {finalist.trial} drops out of the ranking: none of its retrainings ended")
        return entries

    def _freeze(self, search: Study, finals: Study) -> None:
        frozen = self.run_dir / "finalists.json"
        if finals.trials or (self.run_dir / "leaderboard.json").exists():
            raise UserError(f"{frozen}: is gone, though the test split was open to this search; restore it")
        choice = choose_finalists(search, self.experiment)
        if not choice.finalists:
            raise UserError(f"{self.run_dir}: no trial came far enough for the finals: {_first_failure(search)}")
        for trial, finalist in choice.passed_over.items():
            self._say(f"trial {trial} is too like trial {finalist} to go to the finals, too (finals.min_distance)")
        freeze_finalists(frozen, choice, self.experiment, self.earlier.test_opened())

    def _model(self, kind: str, config: TrialConfig, trial: StudyTrial, finalist: int) -> FinalModel:
        journal = self.run_dir / f"{kind}s.jsonl"
        reports = [line for line in read_lines(journal) if line["trial"] == trial.number]
        if not reports:
            raise UserError(f"{journal}: lacks the lines of trial {trial.number}; restore the file")
        return FinalModel(
            config=config,
            trial=finalist,
            number=trial.number if kind == "final" else None,
            valid_bleu=reports[-1]["valid_bleu"],
            train_seconds=sum(line["train_seconds"] for line in reports),
            folder=self.run_dir / f"{kind}s" / str(trial.number),
            averaged=self.experiment.finals.average_checkpoints,
            storage=self.storage,
        )

    def _finish(self, study: Study, finals_study: Study, entries: list[Entry]) -> None:
        """Rank, write what people read, and say what came out."""
        trials, finals = read_lines(self.run_dir / "trials.jsonl"), read_lines(self.run_dir / "finals.jsonl")
        spent = self.earlier.spent() + spent_on(study, Totals(trials)) + spent_on(finals_study, Totals(finals))
        spending = self._budget(spent).describe() + ([study.ended] if study.ended else [])
        board = conclude(self.experiment, study, trials, finals, entries, self.earlier.test_opened(), spending)
        self.tracker.finished(board)
        self.console.print(ranking_table(board["ranking"]))
        for line in board["ranking"]:
            self._say(f"trial {line['trial']}: {describe(line['config'])}")
        best, report = self.run_dir / "best", self.run_dir / "report.html"
        self._say(f"BLEU {board['signatures']['bleu']}\nbest model: {best}\nreport: {report}")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _warn(self, text: str) -> None:
        self.console.print(f"warning: {text}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def _first_failure(study: Study) -> str:
    messages = [
        f"trial {t.number} {t.outcome}: {t.attrs['message']}" for t in study.trials.values() if "message" in t.attrs
    ]
    return messages[0] if messages else "no trial was completed"
