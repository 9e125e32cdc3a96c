"""The finals of a search: finalists are frozen, retrained and tested. Each step can be resumed."""

from typing import Literal

from search.driver.race_run import RaceRun
from search.driver.standing import find_standing, keep_frozen, standing_folder
from search.driver.study_run import StudyRun, Trainer
from search.engine.checkpoint_cleaner import CheckpointCleaner
from search.finals.choosing import Finalist, FinalsPlan, choose_finalists, freeze_finalists
from search.finals.leaderboard import Entry
from search.finals.protocol import Finals
from search.finals.stages import FinalModel
from search.record.budget import Spent, spent_on
from search.record.journal import Totals, read_lines
from search.record.study import Study
from search.record.trial import StudyTrial
from search.run_directory.checking import check_finalists
from search.run_directory.earlier import Earlier
from search.run_directory.earlier_finals import take_over_finals
from search.schedulers.unranked import ToTheEnd
from search.settings.wording import count
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.log import say, warn
from trainables.base.outcomes import Outcome


class FinalsRun:
    """The work of one driver on the finals of a search. Raises UserError if no model is left to rank."""

    def __init__(self, trainer: Trainer, earlier: Earlier):
        self.trainer, self.experiment, self.run_dir = trainer, trainer.experiment, trainer.experiment.run_dir
        self.earlier = earlier
        self.finals: Finals = self.experiment.definition.part("finals")

    def run(self, search: Study, finals: Study) -> list[Entry]:
        """Freeze the finalists of the search, retrain them in the study of the finals, test all.

        Returns:
            The tested finalists; none if they are those of earlier finals, whose ranking stands.
        """
        if not (self.run_dir / "finalists.json").exists():
            self._freeze(search, finals)
            self.trainer.keep_safe()
        finalists = check_finalists(self.run_dir / "finalists.json", search)
        plan = FinalsPlan(self.experiment, finalists)
        if (standing := standing_folder(self.earlier)) is not None:
            take_over_finals(self.earlier, self.experiment, plan, finals)
            say(f"finals: the finalists are those of {standing}, whose ranking stands; the test data stay closed")
            return []
        # Errors in the test data are found before the retraining.
        purpose = "checking it before the retraining, and scoring after it"
        test = self.finals.open(self.experiment, purpose)
        self.trainer.keep_safe()
        if not self.experiment.finals.seeds:
            config = self.experiment.trial.with_values
            models = [self._model("trial", config(f.params), search.trials[f.trial], f.trial) for f in finalists]
            return self._tested(finalists, models, test)
        kept = take_over_finals(self.earlier, self.experiment, plan, finals)
        race = RaceRun(self.trainer, plan)
        trainings, of = count(len(plan.points), "training", "trainings"), count(len(finalists), "finalist", "finalists")
        known = f"; {kept} {'is' if kept == 1 else 'are'} known from earlier finals" if kept else ""
        say(f"finals: {trainings} of {of}{known}")
        before = spent_on(search, Totals(read_lines(self.run_dir / "trials.jsonl"))) + self.earlier.spent()
        while True:
            models = self._retrained(plan, finals, before)
            if not models:
                raise UserError(f"{self.run_dir}: no finalist could be trained: {_first_failure(finals)}")
            entries = self._tested(finalists, models, test)
            spent = before + spent_on(finals, Totals(read_lines(self.run_dir / "finals.jsonl")))
            if not race.goes_on(entries, test, spent):
                return self._ranked(finalists, entries)

    def _tested(self, finalists: list[Finalist], models: list[FinalModel], test: object) -> list[Entry]:
        """The finalists that have models, with their results."""
        say(f"ranking: {count(len(models), 'model is', 'models are')} tested")
        results = self.finals.test(models, test, self.experiment, self.trainer.slots.gpus, self.trainer.console)
        entries = []
        for finalist in finalists:
            mine = [pair for pair in zip(models, results, strict=True) if pair[0].trial == finalist.trial]
            if mine:
                entries.append(Entry(finalist, [model for model, _ in mine], [result for _, result in mine]))
        return entries

    @staticmethod
    def _ranked(finalists: list[Finalist], entries: list[Entry]) -> list[Entry]:
        """The entries, once it is said which finalists are not among them."""
        for finalist in finalists:
            if all(entry.finalist.trial != finalist.trial for entry in entries):
                warn(f"trial {finalist.trial} is not ranked: none of its retrainings was completed")
        return entries

    def _freeze(self, search: Study, finals: Study) -> None:
        frozen = self.run_dir / "finalists.json"
        if finals.trials or (self.run_dir / "leaderboard.json").exists():
            raise UserError(f"{frozen}: is missing, though this search may have read the test split; restore it")
        choice = choose_finalists(search, self.experiment)
        if not choice.finalists:
            raise UserError(f"{self.run_dir}: no trial came far enough for the finals: {_first_failure(search)}")
        for trial, finalist in choice.passed_over.items():
            say(f"trial {trial} is too similar to trial {finalist} for the finals (finals.min_distance)")
        if (standing := find_standing(self.earlier, self.experiment, choice.finalists)) is not None:
            keep_frozen(standing, self.run_dir)
        else:
            freeze_finalists(frozen, choice, self.experiment, self.earlier.test_opened())

    def _retrained(self, plan: FinalsPlan, finals: Study, before: Spent) -> list[FinalModel]:
        """Train what the plan has. Returns the models so far. before: what was spent before the finals."""
        cleaner = CheckpointCleaner(self.trainer.checkpoints("final"), keep_completed=True)
        cleaner.sweep(finals.over)
        self.trainer.train(StudyRun("final", finals, plan, ToTheEnd(), len(plan.points), before, [cleaner]))
        return [
            self._model("final", plan.config(trial.params), trial, int(str(trial.params["finalist"])))
            for trial in finals.trials.values()
            if trial.outcome == Outcome.COMPLETED
        ]

    def _model(
        self, kind: Literal["trial", "final"], config: TrialConfig, trial: StudyTrial, finalist: int
    ) -> FinalModel:
        journal = self.run_dir / f"{kind}s.jsonl"
        lines = [line for line in read_lines(journal) if line.trial == trial.number]
        if not lines:
            raise UserError(f"{journal}: lacks the lines of trial {trial.number}; restore the file")
        return FinalModel(
            problem=self.experiment.problem,
            config=config,
            trial=finalist,
            number=trial.number if kind == "final" else None,
            train_seconds=sum(line.report.train_seconds for line in lines),
            folder=self.run_dir / f"{kind}s" / str(trial.number),
            last_checkpoints=self.experiment.finals.last_checkpoints,
            storage=self.trainer.storage,
            lines=tuple(lines),
        )


def _first_failure(study: Study) -> str:
    messages = [
        f"trial {trial.number} {trial.outcome}: {trial.attributes.message}"
        for trial in study.trials.values()
        if trial.attributes.message
    ]
    return messages[0] if messages else "no trial was completed"
