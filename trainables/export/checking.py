"""Whether an exported model translates as the model does that it was made from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.decoding import length_limits
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer
from trainables.base.errors import UserError
from trainables.data.corpora.scoring import Scoring
from trainables.data.reading.text import Split
from trainables.export.trained import TrainedModel, Translation, Translator
from trainables.training.evaluation import corpus_bleu, find_hypotheses

EQUAL = 0.995  # the least share of lines with the same translation
TIE = 0.02  # the largest difference in score of two translations that are as good as equal


@dataclass(frozen=True)
class Difference:
    """A line that is translated otherwise."""

    line: int  # from 1
    ours: str
    theirs: str
    gap: float  # between their scores by the model: log p / tokens^length_penalty
    endless: bool = False  # whether one reached the length limit, at which programs end a translation differently


@dataclass(frozen=True)
class Comparison:
    """Translations of the validation split by the exported model and by the model itself."""

    lines: int
    bleu: float  # of the exported model
    own_bleu: float
    differences: list[Difference]

    @property
    def equal(self) -> int:
        """The number of lines with the same translation."""
        return self.lines - len(self.differences)

    def require_equal(self) -> None:
        """Raises UserError if too many lines differ, or one by more than rounding can explain."""
        far = [difference for difference in self.differences if difference.gap > TIE and not difference.endless]
        if self.equal >= EQUAL * self.lines and not far:
            return
        worst = max(self.differences, key=lambda difference: difference.gap)
        raise UserError(
            f"the exported model is another one: it translates {self.equal:,} of {self.lines:,} lines of the "
            f"validation split like the model itself, and the scores of line {worst.line} differ by {worst.gap:.3f}; "
            "nothing was exported: please report it"
        )


class Check:
    """The model's own translations of the validation split, to compare others with."""

    def __init__(self, trained: TrainedModel, valid: Split, scoring: Scoring):
        self.trained, self.valid, self.scoring = trained, valid, scoring
        self.encoded = trained.tokenizer.encode_source(valid.source)
        found = find_hypotheses(trained.network, self.encoded, trained.beam_size, trained.length_penalty)
        self.own = [hypotheses[0] for hypotheses in found]
        self.own_texts = trained.tokenizer.decode_target([hypothesis.ids for hypothesis in self.own])
        self.own_bleu = corpus_bleu(self.own_texts, valid.target, scoring)

    def compare(self, translator: Translator) -> Comparison:
        """Translate the split with an exported model."""
        theirs = translator.translate(self.valid.source)
        texts = [translation.text for translation in theirs]
        return Comparison(
            lines=len(theirs),
            bleu=corpus_bleu(texts, self.valid.target, self.scoring),
            own_bleu=self.own_bleu,
            differences=[
                Difference(row + 1, own, their, *self._gap(row, theirs[row]))
                for row, (own, their) in enumerate(zip(self.own_texts, texts, strict=True))
                if own != their
            ],
        )

    def _gap(self, row: int, theirs: Translation) -> tuple[float, bool]:
        source, own = torch.from_numpy(self.encoded[row])[None], self.own[row]
        score = score_of(self.trained.network, source, theirs.ids, self.trained.length_penalty)
        limit = int(length_limits(self.trained.network, source)[0])
        return abs(score - own.score), max(len(own.ids), len(theirs.ids)) + 1 >= limit


@torch.inference_mode()
def score_of(network: Transformer, source: Tensor, ids: list[int], length_penalty: float) -> float:
    """The score that beam search gives a translation: log p / tokens^length_penalty, the end included.

    source: (1, S) ids; ids: of the translation, without its ends.
    """
    source = source.to(network.target_embedding.weight.device)
    target = torch.tensor([[BOS, *ids, EOS]], device=source.device)
    logits = network.output(network(source, target[:, :-1]))[0].float()
    logits[:, [PAD, BOS]] = float("-inf")
    log_p = logits.log_softmax(dim=-1).gather(1, target[0, 1:, None]).squeeze(1)
    if len(log_p) >= int(length_limits(network, source)[0]):
        log_p = log_p[:-1]  # a translation at its limit ends at no cost
    return float(log_p.sum()) / (len(ids) + 1) ** length_penalty
