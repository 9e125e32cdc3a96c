"""The sentences that are translated to measure speed, and how long their translations have to be."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.cache import cached_corpus
from trainables.data.encoding.tokenizer import Tokenizer, train_tokenizer


@dataclass(frozen=True)
class Batch:
    """Sentences that are translated at a time."""

    sources: list[np.ndarray]  # ids with EOS
    lengths: list[int]  # tokens of each translation, EOS included


@dataclass(frozen=True)
class Workload:
    """Fixed sentences, cut into the tokens of a configuration, with the lengths of their references."""

    tokenizer: Tokenizer
    batches: list[Batch]

    @property
    def sentences(self) -> int:
        """The number of sentences."""
        return sum(len(batch.sources) for batch in self.batches)

    @property
    def tokens(self) -> tuple[float, float]:
        """The tokens of a sentence and of its translation, on average."""
        sources = [len(ids) for batch in self.batches for ids in batch.sources]
        return fmean(sources), fmean(length for batch in self.batches for length in batch.lengths)


def make_workload(config: TranslationConfig, lines: int, batch: int, cache: Path) -> Workload:
    """So many sentences from all over the validation split, in batches of similar lengths. Raises UserError."""
    corpus = cached_corpus(config.data, cache)
    tokenizer = train_tokenizer(config.tokenizer, corpus, cache)
    rows = np.unique(np.linspace(0, len(corpus.valid) - 1, lines).round().astype(int)).tolist()
    sources = tokenizer.encode_source([corpus.valid.source[row] for row in rows])
    lengths = [len(ids) - 1 for ids in tokenizer.encode_target([corpus.valid.target[row] for row in rows])]
    if (most := config.model.longest) is not None:
        sources = [ids if len(ids) <= most else np.append(ids[: most - 1], ids[-1]) for ids in sources]
        lengths = [min(length, most) for length in lengths]
    order = sorted(range(len(rows)), key=lambda place: (lengths[place], len(sources[place])))
    return Workload(
        tokenizer,
        [
            Batch([sources[place] for place in chosen], [lengths[place] for place in chosen])
            for start in range(0, len(order), batch)
            for chosen in [order[start : start + batch]]
        ],
    )
