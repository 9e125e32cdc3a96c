"""How trials that fine-tune a pretrained model are trained in a worker."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from trainables.acceleration.data_parallel import Parts, train_data_parallel
from trainables.base.errors import Diverged
from trainables.base.pretrained_config import FineTunedConfig
from trainables.base.report import Report
from trainables.pretrained.fine_tuning import FineTuningSteps, ParallelFineTuningSteps
from trainables.pretrained.model_files import at_hand, name_of
from trainables.pretrained.network import count
from trainables.pretrained.preparing import PreparedPretrained, prepare_pretrained
from trainables.sharing.corpora import bring_text
from trainables.sharing.inputs import bring_input
from trainables.sharing.storage import Storage
from trainables.training.loop import train


class PretrainedTraining:
    """Fine-tunes one model, on one GPU or several; see `trainables.worker.Training`."""

    def train(
        self, configs: Sequence[FineTunedConfig], cache: Path, folders: Sequence[Path], gpus: int, keep: int
    ) -> Generator[Report]:
        (config,), (folder,) = configs, folders
        config = at_hand(config, cache)
        if gpus > 1:
            found = train_data_parallel(PARTS, config, cache, folder, gpus, keep)
        else:
            found = train(config, _prepare(config, cache), folder, keep=keep, make_step=FineTuningSteps)
        with closing(found) as reports:
            try:
                for report, network in reports:
                    parameters, trained = count(network)
                    sizes = {"parameters": float(parameters), "trained_parameters": float(trained)}
                    yield 0, replace(report, figures={**report.figures, **sizes})
            except Diverged as error:
                yield 0, error.with_traceback(None)  # its frames hold the model

    def bring(self, config: FineTunedConfig, storage: Storage) -> Path:
        cache = bring_text(storage, config.data)
        bring_input(storage, name_of(config.pretrained), cache)
        return cache


def _prepare(config: FineTunedConfig, cache: Path) -> PreparedPretrained:
    return prepare_pretrained(config.data, config.pretrained, cache)


PARTS = Parts(_prepare, ParallelFineTuningSteps)
TRAINING = PretrainedTraining()
