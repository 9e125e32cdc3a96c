"""What translates while its speed is measured: translations have the length that is wanted, whatever the weights."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from model.decoding import beam_hypotheses, greedy_search
from model.packing import packed
from model.transformer import Transformer
from trainables.base.temporary import temporary_folder
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.sequences import Sequences
from trainables.timing.config import SpeedConfig
from trainables.timing.workload import Batch, Workload
from trainables.training.device import set_up


class Engine(Protocol):
    """A model, ready to translate."""

    def run(self, batch: Batch) -> None:
        """Translate the sentences of a batch."""
        ...


class OwnEngine:
    """Translates with this project's own search."""

    def __init__(self, network: Transformer, setup: SpeedConfig):
        self.network, self.setup, self.device = network, setup, torch.device(setup.device)

    def run(self, batch: Batch) -> None:
        """See `Engine`."""
        packed = Sequences.pack(batch.sources)
        source = torch.from_numpy(packed.padded(np.arange(len(packed)))).to(self.device)
        lengths = torch.tensor(batch.lengths, device=self.device)
        if self.setup.beam == 1:
            greedy_search(self.network, source, lengths)
        else:
            beam_hypotheses(self.network, source, self.setup.beam, lengths=lengths)


class CTranslate2Engine:
    """Translates with CTranslate2, which has one length for a batch: the mean of its lengths."""

    def __init__(self, folder: Path, workload: Workload, setup: SpeedConfig):
        from ctranslate2 import Translator

        self.setup, self.tokenizer = setup, workload.tokenizer
        self.translator = Translator(str(folder), device=setup.device, intra_threads=setup.threads)

    def run(self, batch: Batch) -> None:
        """See `Engine`."""
        length = round(sum(batch.lengths) / len(batch.lengths))
        self.translator.translate_batch(
            [self.tokenizer.source_pieces(ids[:-1].tolist()) for ids in batch.sources],
            beam_size=self.setup.beam,
            min_decoding_length=length,
            max_decoding_length=length,
            max_input_length=0,
        )


@contextmanager
def open_engine(
    config: TranslationConfig, workload: Workload, setup: SpeedConfig, network: Transformer | None = None
) -> Iterator[Engine]:
    """A model of this configuration in the engine of the setup.

    network: its weights; random ones by default, as the time does not depend on them.
    """
    vocabularies = workload.tokenizer.source_vocab, workload.tokenizer.target_vocab
    network = (network or Transformer(config.model, *vocabularies)).eval()
    with ExitStack() as stack:
        if setup.engine == "babeltune":
            network = network.to(setup.device)
            set_up(torch.device(setup.device))
            stack.enter_context(packed(network))
            yield OwnEngine(network, setup)
            return
        from trainables.export.ctranslate2_spec import write

        folder = stack.enter_context(temporary_folder())
        write(network, workload.tokenizer, folder, setup.quantization)
        del network  # memory for other models
        yield CTranslate2Engine(folder, workload, setup)
