"""How trials that fine-tune a pretrained model are trained in a worker."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from trainables.base.errors import Diverged
from trainables.base.pretrained_config import FineTunedConfig
from trainables.base.report import Report
from trainables.data.encoding.preparing import PreparedText
from trainables.pretrained.codec import prepare_pretrained
from trainables.pretrained.fine_tuning import FineTuningSteps
from trainables.pretrained.model_files import at_hand, name_of
from trainables.pretrained.network import count
from trainables.sharing.corpora import bring_text
from trainables.sharing.inputs import bring_input
from trainables.sharing.storage import Storage
from trainables.training.loop import train


class PretrainedTraining:
    """Fine-tunes one model on one device; see `trainables.worker.Training`."""

    def train(
        self, configs: Sequence[FineTunedConfig], cache: Path, folders: Sequence[Path], gpus: int, keep: int
    ) -> Generator[Report]:
        (config,), (folder,) = configs, folders
        config = at_hand(config, cache)
        prepared, codec = prepare_pretrained(config.data, config.pretrained, cache)

        def make_step(config: FineTunedConfig, prepared: PreparedText, device: torch.device) -> FineTuningSteps:
            return FineTuningSteps(config, codec, device)

        try:
            for report, network in train(config, prepared, folder, keep=keep, make_step=make_step):
                parameters, trained = count(network)
                sizes = {"parameters": float(parameters), "trained_parameters": float(trained)}
                yield 0, replace(report, figures={**report.figures, **sizes})
        except Diverged as error:
            yield 0, error.with_traceback(None)  # its frames hold the model

    def bring(self, config: FineTunedConfig, storage: Storage) -> Path:
        cache = bring_text(storage, config.data)
        bring_input(storage, name_of(config.pretrained), cache)
        return cache


TRAINING = PretrainedTraining()
