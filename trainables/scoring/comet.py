"""COMET, by the package unbabel-comet: a model by name, or a checkpoint on this machine."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from trainables.base.errors import UserError
from trainables.base.metric_config import CometMetric

APART = (
    "install unbabel-comet where the search runs, or in an environment of its own, from which kind: command runs "
    "examples/comet_scores.py"
)


class CometScorer:
    """Scores by a COMET model; one that uses no references, as CometKiwi, gets none.

    See `trainables.scoring.metrics.Scorer`. Rei et al. 2020, "COMET: A neural framework for MT evaluation".
    """

    @staticmethod
    def check(key: str, settings: CometMetric) -> None:
        """Check that the package is installed, and that the model is there if it is a file. Raises UserError."""
        if find_spec("comet") is None:
            raise UserError(f"{key}: comet is not installed; {APART}")
        if settings.model.endswith(".ckpt") and not Path(settings.model).is_file():
            raise UserError(f"{key}: model {settings.model}: no such file; name a checkpoint, or a model of the Hub")

    def __init__(self, key: str, settings: CometMetric):
        """Load the model, which is fetched from the Hugging Face Hub if it is not a file. Raises UserError."""
        self._key, self._settings = key, settings
        try:
            import comet
        except Exception as error:  # beside packages of other versions its import fails in other ways
            raise UserError(f"{key}: comet can't be imported: {type(error).__name__}: {error}; {APART}") from None
        try:
            file = settings.model if settings.model.endswith(".ckpt") else comet.download_model(settings.model)
            self._model: Any = comet.load_from_checkpoint(file)
        except (Exception, SystemExit) as error:  # of the download, and of whatever the file has in it
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UserError(f"{key}: model {settings.model} can't be loaded: {reason}; name another") from None
        self._referenced = bool(self._model.requires_references())
        self._gpus = int(settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available()))

    def __call__(self, sources: Sequence[str], translations: Sequence[str], references: Sequence[str]) -> Any:
        """The score of each sentence. Raises UserError."""
        rows = [{"src": source, "mt": translation} for source, translation in zip(sources, translations, strict=True)]
        if self._referenced:
            rows = [{**row, "ref": reference} for row, reference in zip(rows, references, strict=True)]
        try:
            found = self._model.predict(
                rows, batch_size=self._settings.batch_size, gpus=self._gpus, progress_bar=False, num_workers=0
            )
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UserError(f"{self._key}: {self._settings.model} failed: {reason}; fix it, then resume") from error
        return found.scores
