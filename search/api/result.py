"""What became of a search, for programs and notebooks."""

import html
import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from search.record.journal import read_lines
from search.settings.experiment import Experiment
from search.settings.problem import TRANSLATION
from search.settings.stored import stored_experiment
from trainables.base.errors import UserError
from trainables.base.sealing import read_sealed

if TYPE_CHECKING:
    import optuna

    from search.record.trial import StudyTrial


class Result:
    """A run directory, read. Nothing of it is changed.

    Attributes:
        path: The run directory.
        experiment: What was searched.
    """

    def __init__(self, path: Path, trust: bool = False):
        """Read the run directory; see `load_run`.

        Raises:
            UserError: If the folder is no run directory, or not as the search wrote it.
        """
        self.path = path
        self.experiment: Experiment = stored_experiment(path, trust=trust)

    def __repr__(self) -> str:
        return f"Result({str(self.path)!r})"

    @property
    def ranking(self) -> pd.DataFrame:
        """The finalists, the best first: a row each, with scores, intervals and a column for each hyperparameter.

        The columns are those of `ranking` in leaderboard.json; `test_bleu_low` and `test_bleu_high` are the ends of the
        95% interval.

        Raises:
            UserError: Before the search has ended.
        """
        file = self.path / "leaderboard.json"
        if not file.exists():
            raise UserError(f"{self.path}: the search has not ended, so there is no ranking; go on with it by resume")
        board = read_sealed(file)
        metric = board.get("metric", "test_bleu")
        return pd.json_normalize([_flat(entry, metric) for entry in board["ranking"]], max_level=0)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each trial of the search, by number.

        Columns: `outcome`, `epochs` that it trained, the last score by the name of the metric, and a column for each
        hyperparameter.
        """
        rows = [
            {
                "trial": trial.number,
                "outcome": str(trial.outcome),
                "epochs": trial.epochs,
                self.experiment.search.metric: trial.scores[trial.progress] if trial.scores else None,
                **trial.params,
            }
            for trial in self._trials()
        ]
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()

    @cached_property
    def reports(self) -> pd.DataFrame:
        """A row for each report of a trial of the search, in the order in which they came.

        The columns are the keys of trials.jsonl: `trial`, `step`, `epoch`, losses, scores, seconds and others.
        """
        return pd.DataFrame([line.stored() for line in read_lines(self.path / "trials.jsonl")])

    @property
    def study(self) -> "optuna.Study":
        """Optuna's study of the search, copied into memory."""
        from search.record.study_file import open_study

        return open_study(self.path / "study.db", "search", self.experiment.search.direction, "read")[1]

    @cached_property
    def best(self) -> Any:
        """The best model, on a GPU if there is one: a `BestModel`, or of another problem what its finals read.

        A `BestModel` has its configuration, tokenizer and decoding.

        Raises:
            UserError: Before the search has ended.
        """
        return self.experiment.definition.part("finals").read_best(self.experiment)

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """Translate with the best model, decoded as in the finals.

        Args:
            sentences: In the source language, as people write it. A blank one stays blank.

        Returns:
            A translation for each sentence.

        Raises:
            UserError: Before the search has ended, or for a sentence that the model can't take.
        """
        from search.commands.translate import Translating, translate_lines

        if self.experiment.problem != TRANSLATION:
            raise UserError(
                f"{self.path}: is a search of the problem {self.experiment.definition.title}, which does not translate"
            )
        source = "".join(f"{' '.join(sentence.split())}\n" for sentence in sentences)
        translations = io.BytesIO()
        try:
            translate_lines(self.best, io.BytesIO(source.encode()), translations, Translating(run=str(self.path)))
        except UserError as error:
            raise UserError(str(error).replace("standard input: line", "sentence")) from None
        return translations.getvalue().decode().splitlines()

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def _repr_html_(self) -> str | None:
        """A notebook shows the report, once it is there."""
        if not self.report.exists():
            return None
        page = html.escape(self.report.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 600px; border: 0"></iframe>'

    def _trials(self) -> "list[StudyTrial]":
        from search.record.study import Study

        study = Study(self.path / "study.db", "search", self.experiment.search.direction, "read")
        return list(study.trials.values())


def _flat(entry: dict[str, Any], metric: str) -> dict[str, Any]:
    """An entry of the leaderboard with a column for each end of an interval and each hyperparameter."""
    low, high = entry[f"{metric}_ci"]
    rest = {key: value for key, value in entry.items() if key not in ("config", f"{metric}_ci")}
    return {**rest, f"{metric}_low": low, f"{metric}_high": high, **entry["config"]}
