"""Evaluation of a model: its loss on references, and the scores of its translations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from model.decoding import Hypothesis, beam_hypotheses, beam_search, greedy_search
from model.packing import packed
from model.special_tokens import PAD
from model.transformer import Transformer
from trainables.data.corpora.scoring import Scoring
from trainables.data.encoding.batching import evaluation_batches, group_by_length
from trainables.data.encoding.sequences import EncodedSplit, Sequences
from trainables.data.encoding.tokenizer import Tokenizer
from trainables.scoring import chrf, ter
from trainables.scoring.sacrebleu_internals import score_of_terms
from trainables.training.device import set_up

EVALUATION_TOKENS = 4096  # per batch, padding included
SMALLEST_BATCH = 256
GPU_DECODING_TOKENS = 32_768  # on a GPU, a decoding step takes as long for many rows as for few
Found = TypeVar("Found")


@dataclass(frozen=True)
class Scores:
    """Scores of one system's translations, in percent.

    `sentence_bleu` is the mean over sentences; it must not be compared with corpus `bleu`.
    """

    bleu: float
    chrf: float  # chrF++: with words and pairs of words (Popović 2017)
    ter: float  # edits per reference word (Snover et al. 2006): lower is better; it may be above 100
    sentence_bleu: float


def score(translations: list[str], references: list[str], scoring: Scoring, *more: list[str]) -> Scores:
    """Corpus BLEU, chrF++ and TER by sacreBLEU, on detokenised text. more: Further references."""
    return score_with_terms(translations, references, scoring, *more)[0]


def score_with_terms(
    translations: list[str], references: list[str], scoring: Scoring, *more: list[str]
) -> tuple[Scores, dict[str, np.ndarray]]:
    """The scores, and the statistics of each sentence that chrF++ and TER are computed from, by name."""
    sentence = scoring.bleu(sentence=True)
    mean = sum(
        sentence.sentence_score(translation, given).score
        for translation, *given in zip(translations, references, *more, strict=True)
    ) / len(references)
    terms = {
        "chrf": chrf.sentence_statistics(translations, references, scoring, *more),
        "ter": ter.sentence_statistics(translations, references, scoring, *more),
    }
    scores = Scores(
        corpus_bleu(translations, references, scoring, *more),
        score_of_terms(scoring.chrf(), terms["chrf"]),
        score_of_terms(scoring.ter(), terms["ter"]),
        mean,
    )
    return scores, terms


def corpus_bleu(translations: list[str], references: list[str], scoring: Scoring, *more: list[str]) -> float:
    """Corpus BLEU of detokenised text, 0..100. more: Further references."""
    return float(scoring.bleu().corpus_score(translations, [references, *more]).score)


@torch.inference_mode()
def reference_loss(model: Transformer, split: EncodedSplit) -> float:
    """Negative log-likelihood of the references, in nats, summed over all their tokens, without label smoothing."""
    device = model.target_embedding.weight.device
    total = 0.0
    for source, target in evaluation_batches(split, EVALUATION_TOKENS):
        source, target = source.to(device), target.to(device)
        hidden, gold = model(source, target[:, :-1]), target[:, 1:]
        predicted = gold != PAD
        logits = model.output(hidden[predicted]).float()
        total += float(torch.nn.functional.cross_entropy(logits, gold[predicted], reduction="sum"))
    return total


def translate(
    model: Transformer,
    tokenizer: Tokenizer,
    sentences: list[str],
    beam_size: int = 1,
    length_penalty: float = 1.0,
) -> list[str]:
    """Detokenised translations in the order of the sentences; greedy search for beam_size 1."""

    def search(batch: Tensor) -> list[list[int]]:
        if beam_size == 1:
            return greedy_search(model, batch)
        return beam_search(model, batch, beam_size, length_penalty)

    return tokenizer.decode_target(_decode(model, tokenizer.encode_source(sentences), beam_size, search))


def find_hypotheses(
    model: Transformer, source: list[np.ndarray], beam_size: int, length_penalty: float
) -> list[list[Hypothesis]]:
    """All hypotheses of beam search for each source (ids with EOS), the best first, in the order of the sources."""
    return _decode(model, source, beam_size, lambda batch: beam_hypotheses(model, batch, beam_size, length_penalty))


def _decode(
    model: Transformer, source: list[np.ndarray], beam_size: int, search: Callable[[Tensor], list[Found]]
) -> list[Found]:
    """The search's result for each source; similar lengths are decoded together, in batches for that beam size."""
    device = model.target_embedding.weight.device
    set_up(device)
    sequences = Sequences.pack(source)
    found: dict[int, Found] = {}
    tokens = EVALUATION_TOKENS if device.type == "cpu" else GPU_DECODING_TOKENS
    while True:
        try:
            with packed(model):
                for rows in group_by_length(sequences.lengths, max(1, tokens // beam_size), None):
                    batch = torch.from_numpy(sequences.padded(rows)).to(device)
                    found.update(zip(rows.tolist(), search(batch), strict=True))
            return [found[row] for row in range(len(source))]
        except torch.OutOfMemoryError:  # others may use the rest of the GPU
            if tokens <= SMALLEST_BATCH:
                raise
        tokens //= 2
        torch.cuda.empty_cache()
