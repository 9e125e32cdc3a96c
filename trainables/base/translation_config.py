"""The configuration of the training of one translation model."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from model.config import Config, ModelConfig
from model.counting import count_parameters
from trainables.base.config import TrainingConfig, TrialConfig
from trainables.base.files import full_path

PHRASEBOOK = "phrasebook"
HUB = (
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:\?(?P<query>(?:config|revision)=[^&=]+(?:&(?:config|revision)=[^&=]+)?))?"
)
TEST_SET = r"sacrebleu://(?P<name>\w[\w./-]*)/(?P<pair>[A-Za-z_]+-[A-Za-z_]+)"

BleuTokenizer = Literal[
    "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "spm", "flores101", "flores200"
]


class SplitConfig(Config):
    """The numbers of pairs that are taken from the training text for splits without files."""

    valid: int | None = Field(None, ge=1, description="pairs for validation, if no file has them")
    test: int | None = Field(None, ge=1, description="pairs for the test, if no file has them")
    seed: int = Field(1, ge=0, lt=2**31, description="decides, with the text alone, which pairs these are")


class FiltersConfig(Config):
    """The training pairs to leave out. Validation and test text are never filtered, so scores stay comparable."""

    min_length: int | None = Field(None, ge=1, description="leave out training pairs with a side of fewer characters")
    max_length: int | None = Field(None, ge=1, description="leave out training pairs with a side of more characters")
    max_ratio: float | None = Field(
        None,
        gt=1,
        description="leave out training pairs whose ratio of lengths in characters differs by more than this factor "
        "from the usual one; pairs of fewer than 40 characters are kept",
    )
    copies: bool = Field(False, description="leave out training pairs with the same text on both sides")
    garbled: bool = Field(
        False,
        description="leave out training pairs with control characters, or text that was read in a wrong encoding, such "
        "as cafÃ©",
    )
    markup: bool = Field(False, description="leave out training pairs with HTML or XML tags, or entities such as &amp;")
    language: bool = Field(
        False,
        description="leave out training pairs with a side in another language than claimed (needs the extra languages)",
    )
    deduplicate: bool = Field(False, description="keep only the first of equal training pairs")

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.min_length and self.max_length and self.min_length > self.max_length:
            raise ValueError(f"min_length: {self.min_length} is above max_length {self.max_length}, so no pair is left")
        return self

    @property
    def chosen(self) -> dict[str, int | float | bool]:
        """The filters that are on, each with its value."""
        return {name: value for name, value in self.model_dump().items() if value}


class DataConfig(Config):
    """Which parallel text, read how."""

    path: str = Field(
        PHRASEBOOK,
        min_length=1,
        description="'phrasebook' (the embedded corpus), a folder, an archive, one file, a pattern with {split} and "
        "{language}, or hf://OWNER/NAME?config=…&revision=…",
    )
    source: str = Field("en", pattern=r"^[A-Za-z0-9_-]+$", description="source language, as in the file names")
    target: str = Field("fr", pattern=r"^[A-Za-z0-9_-]+$", description="target language, as in the file names")
    source_language: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="code of the source language, such as en, if the file names do not have it",
    )
    target_language: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="code of the target language, such as zh, if the file names do not have it",
    )
    bleu_tokenize: BleuTokenizer = Field(
        "auto",
        description="sacreBLEU's tokenizer; auto follows the target language: zh, ja-mecab, ko-mecab, char for "
        "Thai, Khmer, Lao, Burmese and Tibetan, else 13a",
    )
    train: str = Field("train", min_length=1, description="name of the training split in the file names")
    valid: str = Field(
        "valid", min_length=1, description="name of the validation split in the file names, or a test set as for test"
    )
    test: str = Field(
        "test", min_length=1, description="name of the test split in the file names, or sacrebleu://wmt24/en-de"
    )
    split: SplitConfig = SplitConfig()
    columns: tuple[str | int, str | int] | None = Field(
        None,
        description="source and target of a table: its columns, by their names in the first line or counted from 1; in "
        "JSON and Parquet keys, as translation.en",
    )
    doubts: Literal["refuse", "warn"] = Field(
        "refuse",
        description="what to do with text that looks wrong by its statistics: copied, swapped or shifted sides, ids, "
        "quotes of CSV",
    )
    filters: FiltersConfig = FiltersConfig()
    limit: int | None = Field(None, ge=1, description="use only this many first training pairs (before data.filters)")
    max_tokens: int = Field(128, ge=4, description="most tokens of a training sentence; see 'overlong'")
    overlong: Literal["drop", "truncate"] = Field("drop", description="drop the pair, or cut the long side")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.source == self.target:
            raise ValueError(f"target: {self.target!r} is the source language, too; name two languages")
        if len({self.train, self.valid, self.test}) < 3:
            raise ValueError("test: train, valid and test must name three different splits")
        for key in ("train", "valid", "test"):
            name = getattr(self, key)
            if "://" in name and (key == "train" or not re.fullmatch(TEST_SET, name)):
                raise ValueError(f"{key}: {name}: is the name of a split; a test set is sacrebleu://wmt24/en-de")
        if self.path == PHRASEBOOK and self.held_out:
            raise ValueError(f"split: {PHRASEBOOK} has all splits; leave it out, or set path to a corpus of yours")
        for column in self.columns or ():
            if isinstance(column, int) and column < 1:
                raise ValueError(f"columns: {column}: columns are counted from 1")
        if self.columns and self.columns[0] == self.columns[1]:
            raise ValueError(f"columns: {self.columns[0]!r} can't be source and target; name two columns")
        if "{" in self.path and not re.fullmatch(r"[^{}]*(\{(split|language)\}[^{}]*)+", self.path):
            raise ValueError(f"path: the pattern {self.path!r} may have {{split}} and {{language}} alone in braces")
        if "{" in self.path and "{split}" not in self.path and len(self.held_out) < 2:
            raise ValueError(f"path: the pattern {self.path!r} needs {{split}}, as in corpus/{{split}}.{{language}}.gz")
        return self

    @property
    def splits(self) -> tuple[str, str, str]:
        """The names of the splits for training, validation and test."""
        return self.train, self.valid, self.test

    @property
    def held_out(self) -> dict[str, int]:
        """Pairs that are taken out of the training text, by the name of their split."""
        sizes = {self.valid: self.split.valid, self.test: self.split.test}
        return {name: size for name, size in sizes.items() if size is not None}

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        # Ray's workers run in other folders.
        if path == PHRASEBOOK or re.fullmatch(HUB, path):
            return path
        if path.startswith("hf:"):
            raise ValueError(
                f"path: {path}: is written hf://OWNER/NAME?config=…&revision=…, as hf://wmt/wmt14?config=de-en"
            )
        if address := re.match(r"[a-z0-9]+://", path):
            raise ValueError(
                f"path: {path}: no corpus is read from {address[0]}; fetch it first (hf:// is a corpus of the Hugging "
                "Face Hub; a test set as sacrebleu://wmt24/en-de is named by test)"
            )
        return str(full_path(path))


class TokenizerConfig(Config):
    """sentencepiece models, trained on the training text alone."""

    kind: Literal["bpe", "unigram"] = Field("bpe", description="sentencepiece algorithm")
    vocab_size: int = Field(
        8000, ge=8, le=1_000_000, description="pieces, special ones included; of each side if not shared"
    )
    shared: bool = Field(True, description="one vocabulary for both languages")
    normalization: Literal["identity", "nfc", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"] = Field(
        "identity",
        description="what is done to text first: nothing, canonical composition (nfc), or sentencepiece's compatible "
        "forms, which models then write where references have others; _cf folds case, too",
    )
    character_coverage: float = Field(
        1.0, ge=0.98, le=1, description="share of the characters of the text that get a piece; the rarest get none"
    )
    sample_lines: int | None = Field(
        200_000,
        ge=1,
        description="train the tokenizer on so many lines of the training text at most, both sides together if it is "
        "shared, from all over the text; null: on all",
    )
    byte_fallback: bool = Field(
        False, description="write a character without a piece as its bytes, for 256 pieces of the vocabulary"
    )


class TranslationTraining(TrainingConfig):
    """The optimisation recipe."""

    epochs: float = Field(
        5, gt=0, description="passes over the training text; fractional, such as 0.25, with training.report_steps"
    )
    valid_pairs: int | None = Field(
        None,
        ge=1,
        description="score reports except the last on at most this many validation pairs, always the same; null: all",
    )
    batch_tokens: int | None = Field(
        1024,
        ge=1,
        description="most tokens per batch: pairs times (longest source + longest target)",
    )
    batch_sentences: int | None = Field(None, ge=1, description="or: sentence pairs per batch (batch_tokens: null)")
    batch_shapes: int | None = Field(
        None,
        ge=1,
        description="most shapes of batches, with more padding: a GPU then runs each step as one CUDA "
        "graph, and finalists' seeds can train together; null: as many shapes as batches, with little padding",
    )
    learning_rate: float = Field(0.002, gt=0, description="Adam's peak learning rate")
    warmup_steps: int = Field(300, ge=0, description="steps of linear warm-up")
    schedule: Literal["cosine", "inverse_sqrt", "constant"] = Field(
        "cosine", description="the learning rate after the warm-up"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="mass spread over the whole vocabulary")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")

    @model_validator(mode="after")
    def _one_batch_rule(self) -> Self:
        if (self.batch_tokens is None) == (self.batch_sentences is None):
            raise ValueError(
                "batch_sentences: set exactly one of batch_tokens and batch_sentences, and the other to null"
            )
        return self


class TranslationConfig(TrialConfig):
    """Everything that determines one run; on one machine it gives the same numbers, on a GPU up to rounding."""

    fixed = ("data", "training.valid_pairs")

    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    training: TranslationTraining = TranslationTraining()
    seed: int = Field(1, ge=0, lt=2**31, description="seed of initialisation, batch order and dropout")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.tied_embeddings == "all" and not self.tokenizer.shared:
            raise ValueError(
                "model.tied_embeddings: 'all' needs one vocabulary, but tokenizer.shared is false; "
                "use 'decoder' or 'none', or share the tokenizer"
            )
        longest = self.model.longest
        if longest is not None and self.data.max_tokens > longest:
            raise ValueError(
                f"model.{self.model.position_kind.limit}: {self.model.positions} positions end at {longest}, before "
                f"data.max_tokens {self.data.max_tokens}; raise the one or lower the other"
            )
        return self

    @property
    def unused(self) -> frozenset[str]:
        """Dotted paths of fields that have no effect with the values of the others."""
        return frozenset(f"model.{key}" for key in self.model.unused)

    @property
    def num_parameters(self) -> int:
        """The parameters of the model, counted without building it."""
        return count_parameters(self.model, self.tokenizer.vocab_size, self.tokenizer.vocab_size)


def as_translation(config: TrialConfig) -> TranslationConfig:
    """The configuration of a trial, which must be of this problem."""
    assert isinstance(config, TranslationConfig)
    return config
