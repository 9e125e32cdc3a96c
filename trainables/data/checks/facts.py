"""Facts on a corpus, counted while its splits pass once as streams: memory grows by 24 bytes a training pair.

Nothing here chooses or trains, and of the test split numbers alone are given out: no line of it, nor a part of one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from trainables.base.data_config import PHRASEBOOK, DataConfig
from trainables.base.errors import Doubt, UserError
from trainables.data.checks.examination import examine
from trainables.data.checks.filters import FILTERS, Block, Filter, Repeated, blocks_of
from trainables.data.checks.language_guess import Guessed, can_guess, doubt_claims, guess_all
from trainables.data.checks.languages import check_languages, spread
from trainables.data.checks.line_hashes import Seen
from trainables.data.checks.markings import find_markings
from trainables.data.checks.text_counts import Characters, Lengths, Ratios, Sample
from trainables.data.reading.pairs import read_pairs
from trainables.data.reading.phrasebook import read_phrasebook
from trainables.data.reading.text import Text

GUESSED = 500  # lines of a side whose language is guessed
SHOWN = 5  # suspicious pairs of each kind that are shown


@dataclass(frozen=True)
class SideFacts:
    """One side of a split. words and characters are quantiles of their numbers in a line, see `QUANTILES`."""

    language: str  # as the configuration calls it
    words: list[int]
    characters: list[int]
    total_words: int
    total_characters: int
    distinct_characters: int
    scripts: dict[str, float]  # shares of the letters
    repeated: int  # lines that occurred before
    guessed: Guessed | None  # None where languages can't be guessed


@dataclass(frozen=True)
class Suspects:
    """The pairs that a filter drops, or would drop with the value given."""

    filter: str  # its key in data.filters
    value: int | float | bool
    is_on: bool
    pairs: int
    shown: list[tuple[int, str, str]]  # number, source and target of the first; none of the test split


@dataclass(frozen=True)
class Overlap:
    """What a split shares with an earlier one."""

    sources: int  # pairs whose source side is there, too
    pairs: int  # pairs that are there


@dataclass(frozen=True)
class SplitFacts:
    """One split as its files have it, before any filter."""

    name: str
    pairs: int
    blank: int  # pairs with a blank side
    sides: tuple[SideFacts, SideFacts]
    ratios: list[float]  # quantiles of the length of a target by that of its source, in characters
    overlaps: dict[str, Overlap]  # with the splits before it, by their names
    new_characters: tuple[int, int]  # characters of its source that training lacks, and their occurrences
    shown_characters: str  # the most frequent of them; none of the test split
    suspects: list[Suspects]
    left_out: int  # pairs that data.filters leaves out; 0 but of the training split
    doubts: list[str]  # what a search would refuse, or warn of


@dataclass(frozen=True)
class CorpusFacts:
    """The splits that there are, training first; problems: what is wrong with the others."""

    splits: list[SplitFacts]
    problems: list[str]


def measure_corpus(
    config: DataConfig, shared_vocabulary: bool = True, watch: Callable[[str, int], None] = lambda name, pairs: None
) -> CorpusFacts:
    """Read each split once and count. Raises UserError for training text that can't be read.

    watch: is called with the name of the split and the pairs that were read, after each block.
    """
    splits, problems = [], []
    known: list[_Reader] = []
    for role, name in zip(("train", "valid", *["test"] * len(config.tests)), config.splits, strict=True):
        reader = _Reader(config, role, name, known)
        try:
            reader.read(watch)
        except UserError as error:
            if role == "train":
                raise
            problems.append(str(error))
            continue
        splits.append(reader.facts(shared_vocabulary))
        known.append(reader)
    return CorpusFacts(splits, problems)


class _Reader:
    """One split on its way; known: the readers of the splits before it."""

    def __init__(self, config: DataConfig, role: str, name: str, known: list["_Reader"]):
        self.config, self.role, self.known = config, role, known
        self.name = role if config.path == PHRASEBOOK else name
        self.pairs = self.blank = self.left_out = 0
        self.words, self.lengths = (Lengths(), Lengths()), (Lengths(), Lengths())
        self.characters, self.ratios, self.sample = (Characters(), Characters()), Ratios(), Sample()
        self.overlaps = [[0, 0] for _ in known]
        self.filters = self._make_filters()
        repeated = self.filters["deduplicate"]
        assert isinstance(repeated, Repeated)
        self.seen_pairs, self.seen, self.repeated = repeated.seen, [Seen(), Seen()], [0, 0]
        self.suspects = dict.fromkeys(self.filters, 0)
        self.shown: dict[str, list[tuple[int, str, str]]] = {name: [] for name in self.filters}

    def _make_filters(self) -> dict[str, Filter]:
        """All but that by languages, which takes long, unless it is asked for."""
        chosen = self.config.filters.chosen
        values = {name: chosen.get(name, kind.usual) for name, kind in FILTERS.items()}
        if "language" not in chosen or self.role != "train":
            values.pop("language")
        return {name: FILTERS[name].make(value, self.config) for name, value in values.items()}

    def read(self, watch: Callable[[str, int], None]) -> None:
        """Count all pairs. Raises UserError."""
        limit = self.config.limit if self.role == "train" else None
        for block in blocks_of(islice(self._open(), limit)):
            self._add(block)
            watch(self.name, self.pairs)
        if not self.pairs:
            raise UserError(f"{self.config.path}: {self.name} is empty; it must hold one sentence a line")

    def _open(self) -> Iterable[tuple[str, str]]:
        if self.config.path == PHRASEBOOK:
            return read_phrasebook(self.config, self.role)
        return read_pairs(self.config, self.name)

    def _add(self, block: Block) -> None:
        self.pairs += len(block)
        self.blank += int(block.blank.sum())
        for side, lines in enumerate(block.sides):
            self.words[side].add(np.array([len(line.split()) for line in lines]))
            self.lengths[side].add(block.lengths[side])
            self.characters[side].add(lines)
            self.repeated[side] += int(self.seen[side].add(block.hashes[side]).sum())
        self.ratios.add(*block.lengths)
        self.sample.add(*block.sides)
        for counts, other in zip(self.overlaps, self.known, strict=True):
            counts[0] += int(other.seen[0].has(block.hashes[0]).sum())
            counts[1] += int(other.seen_pairs.has(block.hashes[2]).sum())
        self._suspect(block)

    def _suspect(self, block: Block) -> None:
        left_out = np.zeros(len(block), bool)
        for name, each in self.filters.items():
            drops = each.drops(block) & ~block.blank
            self.suspects[name] += int(drops.sum())
            if self.role == "train" and name in self.config.filters.chosen:
                left_out |= drops
            if self.role != "test":
                for place in np.flatnonzero(drops)[: SHOWN - len(self.shown[name])].tolist():
                    self.shown[name].append((block.first + place, block.source[place], block.target[place]))
        self.left_out += int(left_out.sum())

    def facts(self, shared_vocabulary: bool) -> SplitFacts:
        """What was counted, and what checks tell of the sample. No other line is counted after this."""
        self.seen[1] = Seen()  # later splits ask for sources and pairs alone
        numbers, source, target = (list(column) for column in zip(*self.sample, strict=True))
        guessed = [guess_all(spread(side, GUESSED)) if can_guess() else None for side in (source, target)]
        train = self.known[0] if self.known else self
        learned = train.characters[0] | train.characters[1] if shared_vocabulary else train.characters[0]
        new = self.characters[0].lacking(learned)
        chosen = self.config.filters.chosen
        return SplitFacts(
            name=self.name,
            pairs=self.pairs,
            blank=self.blank,
            sides=(self._side(0, self.config.source, guessed[0]), self._side(1, self.config.target, guessed[1])),
            ratios=self.ratios.quantiles(),
            overlaps={other.name: Overlap(*counts) for other, counts in zip(self.known, self.overlaps, strict=True)},
            new_characters=(len(new), sum(new.values())),
            shown_characters="" if self.role == "test" else "".join(list(new)[:SHOWN]),
            suspects=[
                Suspects(name, chosen.get(name, FILTERS[name].usual), name in chosen, pairs, self.shown[name])
                for name, pairs in self.suspects.items()
            ],
            left_out=self.left_out,
            doubts=self._doubts(numbers, source, target, guessed),
        )

    def _side(self, side: int, language: str, guessed: Guessed | None) -> SideFacts:
        words, lengths, characters = self.words[side], self.lengths[side], self.characters[side]
        return SideFacts(
            language,
            words.quantiles(),
            lengths.quantiles(),
            words.total,
            lengths.total,
            characters.distinct,
            characters.scripts(),
            self.repeated[side],
            guessed,
        )

    def _doubts(
        self, numbers: list[int], source: list[str], target: list[str], guessed: list[Guessed | None]
    ) -> list[str]:
        """What the checks of a search tell of these pairs; of the test split by those alone that show no text."""
        checks: list[Callable[[], list[str] | None]] = []
        if guessed[0] and guessed[1]:
            checks.append(partial(doubt_claims, self.config, self.name, guessed[0], guessed[1]))
        if self.known and self.known[0].role == "train":
            _, *train = (list(column) for column in zip(*self.known[0].sample, strict=True))
            checks.append(partial(check_languages, (train[0], train[1]), self.name, (source, target)))
        if self.role != "test":
            name = self.name if len(numbers) == self.pairs else f"a sample of {self.name}"
            checks.append(partial(examine, name, Text(source, target), numbers))
            for side, lines in zip((self.config.source, self.config.target), (source, target), strict=True):
                checks.append(partial(self._markings, side, lines))
        told = []
        for check in checks:
            try:
                told += check() or []
            except Doubt as doubt:
                told.append(str(doubt))
        return told

    def _markings(self, side: str, lines: list[str]) -> list[str]:
        return [f"{self.name}, {side}: {marking.text}" for marking in find_markings(lines, "FILE", False)]
