"""What decides which parallel text is read, and how."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from model.config import Config
from trainables.base.files import full_path

PHRASEBOOK = "phrasebook"
HUB = (
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:\?(?P<query>(?:config|revision)=[^&=]+(?:&(?:config|revision)=[^&=]+)?))?"
)
TEST_SET = r"sacrebleu://(?P<name>\w[\w./-]*)/(?P<pair>[A-Za-z_]+-[A-Za-z_]+)"

SplitName = Annotated[str, Field(min_length=1)]
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


def test_key(test: str) -> str:
    """What a further test is called in results: sacrebleu://wmt24/en-de is wmt24_en_de, test_2017 is set_2017."""
    key = re.sub(r"\W+", "_", test.removeprefix("sacrebleu://")).strip("_").lower().removeprefix("test_")
    return key if key[:1].isalpha() and key not in ("test", "train", "valid", "report", "mean") else f"set_{key}"


def corpus_path(path: str) -> str:
    """A path of a corpus as it is used: absolute, as Ray's workers run in other folders. Raises ValueError."""
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


class MoreText(Config):
    """Training text beside that of the corpus."""

    path: str = Field(min_length=1, description="as data.path; only training pairs are read from it")
    weight: float = Field(
        1.0, gt=0, le=100, description="how often each of its pairs is trained on in an epoch; 0.5: half of the pairs"
    )
    tag: str | None = Field(
        None, pattern=r"^\S+$", description="a word before each source, such as <BT> for back-translated text"
    )

    _path = field_validator("path")(corpus_path)


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
    test: SplitName | Annotated[tuple[SplitName, ...], Field(min_length=1)] = Field(
        "test",
        description="name of the test split in the file names, or sacrebleu://wmt24/en-de; or a list of several, the "
        "main one first",
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
    more: tuple[MoreText, ...] = Field(
        (), description="more training text, such as back-translated pairs: a list of path, weight and tag"
    )
    limit: int | None = Field(None, ge=1, description="use only this many first training pairs (before data.filters)")
    max_tokens: int = Field(128, ge=4, description="most tokens of a training sentence; see 'overlong'")
    overlong: Literal["drop", "truncate"] = Field("drop", description="drop the pair, or cut the long side")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.source == self.target:
            raise ValueError(f"target: {self.target!r} is the source language, too; name two languages")
        if len(set(self.splits)) < len(self.splits):
            raise ValueError("test: train, valid and each test must name different splits")
        if len(self.tests) < len(self.splits) - 2:
            raise ValueError("test: two of its names differ in special characters alone; rename one")
        for key, name in zip(("train", "valid", *["test"] * len(self.tests)), self.splits, strict=True):
            if "://" in name and (key == "train" or not re.fullmatch(TEST_SET, name)):
                raise ValueError(f"{key}: {name}: is the name of a split; a test set is sacrebleu://wmt24/en-de")
        if self.path == PHRASEBOOK and len(self.tests) > 1:
            raise ValueError(f"test: {PHRASEBOOK} has one test; name one, or set path to a corpus of yours")
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
    def splits(self) -> tuple[str, ...]:
        """The names of the splits for training, validation and each test."""
        return self.train, self.valid, *((self.test,) if isinstance(self.test, str) else self.test)

    @property
    def tests(self) -> dict[str, str]:
        """The names of the tests, by what they are called in results: the first is test, others like wmt24_en_de."""
        first, *others = self.splits[2:]
        return {"test": first, **{test_key(name): name for name in others}}

    @property
    def held_out(self) -> dict[str, int]:
        """Pairs that are taken out of the training text, by the name of their split."""
        sizes = {self.valid: self.split.valid, self.tests["test"]: self.split.test}
        return {name: size for name, size in sizes.items() if size is not None}

    _path = field_validator("path")(corpus_path)
