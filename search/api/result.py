"""The result of a search, for programs and notebooks."""

import html
import io
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from search.finals.board import flat_entry
from search.record.journal import read_lines
from search.record.table import trial_rows
from search.settings.experiment import Experiment
from search.settings.problem import TRANSLATION
from search.settings.stored import stored_experiment
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.files import full_path
from trainables.base.sealing import read_sealed

if TYPE_CHECKING:
    import optuna

    from search.record.trial import StudyTrial
    from trainables.export.checking import Comparison


class Result:
    """The content of a run directory, which is not changed.

    Attributes:
        path: The run directory.
        experiment: The experiment of the search.
    """

    def __init__(self, path: Path, trust: bool = False):
        """Read the run directory; see `load_run`.

        Raises:
            UserError: If the folder is not a run directory, or is damaged.
        """
        self.path = path
        self.experiment: Experiment = stored_experiment(path, trust=trust)

    def __repr__(self) -> str:
        return f"Result({str(self.path)!r})"

    @property
    def ranking(self) -> pd.DataFrame:
        """The finalists, the best first, with scores, intervals and a column for each hyperparameter.

        The columns are those of `ranking` in leaderboard.json; `test_bleu_low` and `test_bleu_high` are the ends of the
        95% interval.

        Raises:
            UserError: Before the search has ended.
        """
        file = self.path / "leaderboard.json"
        if not file.exists():
            raise UserError(f"{self.path}: the search has not ended, so there is no ranking; resume it")
        board = read_sealed(file)
        lists = ("seeds", "final_trials")
        rows = [{**flat_entry(entry), **{key: entry[key] for key in lists}} for entry in board["ranking"]]
        return pd.json_normalize(rows, max_level=0)

    def trial(self, number: int | None = None) -> "StudyTrial":
        """A trial by its number; by default the one in `best/`, or before the ranking the best so far.

        Raises:
            UserError: If there is none.
        """
        from search.run_directory.trials import find_trial

        return find_trial(self.experiment, number)

    def config(self, number: int | None = None) -> TrialConfig:
        """The whole configuration of a trial, with which it can be trained again; `number` as in `trial`.

        Raises:
            UserError: If there is none.
        """
        return self.experiment.trial.with_values(self.trial(number).params)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each trial of the search, by number.

        Columns: `outcome`, `epochs`, the last score by the name of the metric, `device_seconds`, `dollars` if there is
        a price, `message`, and a column for each hyperparameter. `trials.csv` is the same.
        """
        search, lines = self.experiment.search, read_lines(self.path / "trials.jsonl")
        rows = trial_rows(self._trials(), lines, search.metric, search.budget.price_per_gpu_hour)
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()

    @cached_property
    def reports(self) -> pd.DataFrame:
        """A row for each report of a trial of the search, in their order.

        The columns are the keys of trials.jsonl: `trial`, `step`, `epoch`, losses, scores, seconds and others.
        """
        return pd.DataFrame([line.stored() for line in read_lines(self.path / "trials.jsonl")])

    @property
    def study(self) -> "optuna.Study":
        """The Optuna study of the search, copied into memory."""
        from search.record.study_file import open_study

        return open_study(self.path / "study.db", "search", self.experiment.search.direction, "read")[1]

    @property
    def idle_seconds(self) -> float:
        """How long slots were free between two trainings of the search, over all slots; also while it runs."""
        from search.record.study import Study

        study = Study(self.path / "study.db", "search", self.experiment.search.direction, "read")
        try:
            return study.idle_seconds
        finally:
            study.close()

    @cached_property
    def best(self) -> Any:
        """The best model, on a GPU if there is one.

        In translation, it is a `BestModel`, with configuration, tokenizer and decoding. In another problem, it is what
        the problem's finals read.

        Raises:
            UserError: Before the search has ended.
        """
        return self.experiment.definition.part("finals").read_best(self.experiment)

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """Translate with the best model, decoded as in the finals.

        Args:
            sentences: Plain sentences in the source language. A blank one stays blank.

        Returns:
            A translation for each sentence.

        Raises:
            UserError: Before the search has ended, or for a sentence that the model can't take.
        """
        from search.commands.translate import Translating, translate_lines

        if self.experiment.problem != TRANSLATION:
            translate = getattr(self.best, "translate", None)
            if translate is None:
                raise UserError(
                    f"{self.path}: is a search for {self.experiment.definition.title}, which does not translate"
                )
            translated: list[str] = translate([" ".join(sentence.split()) for sentence in sentences])
            return translated
        source = "".join(f"{' '.join(sentence.split())}\n" for sentence in sentences)
        translations = io.BytesIO()
        try:
            translate_lines(self.best, io.BytesIO(source.encode()), translations, Translating(run=str(self.path)))
        except UserError as error:
            raise UserError(str(error).replace("standard input: line", "sentence")) from None
        return translations.getvalue().decode().splitlines()

    def export(
        self, form: str, folder: str | os.PathLike[str], quantization: str = "float32", trial: int | None = None
    ) -> "dict[str, Comparison]":
        """Write the best model, or another finalist, for another program, and check that it translates alike.

        Args:
            form: The program, such as "ctranslate2".
            folder: An empty folder, or a new one.
            quantization: The type of the weights, such as "int8".
            trial: A finalist, by the number of its trial; the best one by default.

        Returns:
            Its translations of the validation split in comparison with the model's own, by the type of weights.

        Raises:
            UserError: Before the search has ended, or if the program can't compute this model.
        """
        from search.translation.finalist_export import export_run
        from trainables.export.exporting import Destination

        return export_run(self.path, Destination(form, full_path(os.fspath(folder)), quantization), trial)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def write_report(self) -> Path:
        """Write the report again, such as with a newer version, without opening the test data.

        Returns:
            The HTML report.

        Raises:
            UserError: If the search runs, or has no report of a trial yet.
        """
        from search.report.rewriting import rewrite_report

        return rewrite_report(self.experiment)

    def _repr_html_(self) -> str | None:
        """The report for a notebook; None before the search has ended."""
        if not self.report.exists():
            return None
        page = html.escape(self.report.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 600px; border: 0"></iframe>'

    def _trials(self) -> "list[StudyTrial]":
        from search.run_directory.trials import trials_of

        return list(trials_of(self.experiment).values())
