"""How trials of the problem of translation are trained in a worker."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from trainables.acceleration.captured import choose_step
from trainables.acceleration.data_parallel import ParallelStep, Parts, train_data_parallel
from trainables.acceleration.side_by_side import train_side_by_side
from trainables.base.errors import Diverged
from trainables.base.report import Report
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import Prepared, prepare
from trainables.sharing.corpora import bring_corpus, bring_record
from trainables.sharing.storage import Storage
from trainables.training.initial import at_hand, bring_start
from trainables.training.loop import train


class TranslationTraining:
    """Trains one model, one model on several GPUs, or several models as one; see `trainables.worker.Training`."""

    def train(
        self, configs: Sequence[TranslationConfig], cache: Path, folders: Sequence[Path], gpus: int, keep: int
    ) -> Generator[Report]:
        configs = [at_hand(config, cache) for config in configs]
        if len(configs) > 1:
            yield from train_side_by_side(configs, cache, folders, keep)
            return
        config, folder = configs[0], folders[0]
        if gpus > 1:
            alone = train_data_parallel(PARTS, config, cache, folder, gpus, keep)
        else:
            prepared = _prepare(config, cache)
            alone = train(config, prepared, folder, keep=keep, make_step=choose_step)
        with closing(alone) as reports:
            try:
                for report, _ in reports:
                    yield 0, report
            except Diverged as error:
                yield 0, error.with_traceback(None)  # its frames hold the model

    def bring(self, config: TranslationConfig, storage: Storage) -> Path:
        cache = bring_record(storage)
        bring_start(storage, config, cache)
        return bring_corpus(storage, at_hand(config, cache))


def _prepare(config: TranslationConfig, cache: Path) -> Prepared:
    return prepare(config.data, config.tokenizer, cache)


PARTS = Parts(_prepare, ParallelStep)
TRAINING = TranslationTraining()
