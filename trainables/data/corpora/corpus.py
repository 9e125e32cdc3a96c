"""Parallel text: read from files, or the embedded phrasebook, and checked before anything starts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from trainables.base.data_config import PHRASEBOOK, DataConfig
from trainables.base.errors import Doubt, UserError
from trainables.base.test_opening import open_test
from trainables.data.checks.examination import count_unlearned, examine
from trainables.data.checks.language_guess import check_claims
from trainables.data.checks.languages import check_languages
from trainables.data.checks.markings import find_markings
from trainables.data.checks.training_pairs import TrainingPairs
from trainables.data.corpora.added import AddedText, added_files
from trainables.data.corpora.scoring import check_references
from trainables.data.reading.finding import find_files, find_layout
from trainables.data.reading.formats.lines import is_blank
from trainables.data.reading.layouts import Layout
from trainables.data.reading.pairs import read_pairs, read_references
from trainables.data.reading.phrasebook import read_phrasebook
from trainables.data.reading.text import ReferencedSplit, Split, Text, in_memory, store

HEAD = 20_000  # pairs whose look is checked


@dataclass(frozen=True)
class Corpus:
    """The splits that training may see, and what is noteworthy about them. The test split is not here."""

    train: Text
    valid: Split
    warnings: list[str]

    def fingerprint(self) -> str:
        """A hash of the training text, to name what is learned from it."""
        return self.train.digest()


def read_corpus(config: DataConfig, texts: Path | None = None) -> Corpus:
    """Read and check the training and validation splits, and see that the test split exists.

    texts: a folder that the training text is written into, see `text.store`; None keeps it in memory.

    Raises UserError for what can't be right: a missing file, sides of unequal length, bad UTF-8, a split without
    sentences, a blank line in the validation text, and what `examine`, `find_markings` and `check_languages` refuse.
    Training pairs that `data.filters` drops are left out, and so are blank ones; warnings say how many.
    """
    if config.path != PHRASEBOOK:
        for name in config.tests.values():
            find_files(config, name)
    pairs, told = _head_checked(config, config.train)
    kept, added = TrainingPairs(islice(pairs, config.limit), config), [AddedText(config, more) for more in config.more]
    told += [line for each in added for line in _told(config, each.check)]
    all_pairs = chain(kept, *added)
    train = store(all_pairs, texts) if texts else in_memory(all_pairs)
    warnings = [*told, *kept.told(), *(line for each in added for line in each.told())]
    valid = _evaluation_split(config, config.valid)
    own = config.path != PHRASEBOOK and "://" not in config.valid  # of a known test set the first reference is used
    if own and (more := find_layout(config, config.valid).references):
        raise UserError(
            f"{more[0]}: {config.valid} has {len(more) + 1} references, and only tests may have several; keep the first"
        )
    if config.path == PHRASEBOOK:
        return Corpus(train, valid, warnings)
    for name, split in ((config.train, train), (config.valid, valid)):
        warnings += _told(config, partial(check_claims, config, name, *split.sides))
    warnings += _told(config, lambda: check_languages(train.sides, config.valid, valid.sides))
    check_references(config, valid.target)
    numbers = range(1, len(train) + 1) if added else kept.numbers
    warnings += _told(config, lambda: examine(config.train, train, numbers))
    warnings += _told(config, lambda: examine(config.valid, valid, range(1, len(valid) + 1)))
    warnings += count_unlearned(config.train, train)
    if leaked := _count_shared(valid.source, train.source):
        warnings.append(
            f"{leaked} of {len(valid)} source sentences of {config.valid} also {'stands' if leaked == 1 else 'stand'} "
            f"in {config.train}; valid BLEU will look better than it is"
        )
    return Corpus(train, valid, warnings)


def _count_shared(sentences: Sequence[str], text: Iterable[str]) -> int:
    """How many of the sentences stand in a text."""
    wanted = set(sentences)
    shared = wanted.intersection(text)
    return sum(sentence in shared for sentence in sentences)


def read_test(config: DataConfig, run_dir: Path, why: str, key: str = "test") -> Split:
    """A test split: given out here alone, and not before the finalists are frozen in finalists.json of the run.

    key: of `DataConfig.tests`. Each opening is noted in the run, see `open_test`. Raises UserError for errors in the
    files, RuntimeError if no finalists are frozen.
    """
    name = config.tests[key]
    open_test(run_dir, why, name if len(config.tests) > 1 else None)
    return _test_split(config, name)


def digest_test(config: DataConfig, train: Text, key: str = "test") -> dict[str, Any]:
    """How many pairs a test split has, and a hash of them, by which a run knows that it stays the same.

    key: of `DataConfig.tests`.

    No text leaves this function, so nothing can be chosen by it. Raises UserError for what is wrong with the files, or
    unlike the training text.
    """
    name = config.tests[key]
    test = _test_split(config, name)
    _told(config, lambda: check_languages(train.sides, name, test.sides))
    _told(config, lambda: examine(name, test, range(1, len(test) + 1)))
    return {"pairs": len(test), "sha256": test.digest()}


def training_files(config: DataConfig) -> list[Path]:
    """The files of the training and validation text. Raises UserError."""
    own = [] if config.path == PHRASEBOOK else [*find_files(config, config.train), *find_files(config, config.valid)]
    return [*own, *added_files(config)]


def test_files(config: DataConfig, key: str = "test") -> list[Path]:
    """The files that a test split comes from. Raises UserError."""
    return list(find_files(config, config.tests[key]))


def count_references(config: DataConfig, key: str = "test") -> int:
    """How many reference translations a test has. Raises UserError."""
    return 1 if config.path == PHRASEBOOK else 1 + len(find_layout(config, config.tests[key]).references)


def _test_split(config: DataConfig, name: str) -> Split:
    """A test with all its references. Raises UserError."""
    split = _evaluation_split(config, name)
    more = [] if config.path == PHRASEBOOK else read_references(config, name)
    for number, reference in enumerate(more, 1):
        if len(reference) != len(split):
            raise UserError(
                f"{config.path}: reference {number} of {name} has {len(reference):,} lines, its source {len(split):,}"
            )
        if blank := next((line for line, text in enumerate(reference, 1) if is_blank(text)), None):
            raise UserError(f"{config.path}: reference {number} of {name} has a blank line at line {blank}; write it")
    return ReferencedSplit(split.source, split.target, tuple(more)) if more else split


def _evaluation_split(config: DataConfig, name: str) -> Split:
    """A split that is scored: in memory, and nothing is left out of it. Raises UserError."""
    split = in_memory(_head_checked(config, name)[0])
    _refuse_blanks(split, config, name)
    return split


def _head_checked(config: DataConfig, name: str) -> tuple[Iterator[tuple[str, str]], list[str]]:
    """The pairs of a split, and what is noteworthy about the look of the first ones. Raises UserError."""
    if config.path == PHRASEBOOK:
        return iter(read_phrasebook(config, name)), []
    pairs, files = read_pairs(config, name), find_layout(config, name)
    head = list(islice(pairs, HEAD))
    if not head:
        raise UserError(f"{files.sources[0]} is empty; it must hold one sentence a line")
    told = _told(config, lambda: _check_markings(files, in_memory(head)))
    return chain(head, pairs), told


def _told(config: DataConfig, check: Callable[[], list[str]]) -> list[str]:
    """What a check has to tell of text; its doubts, too, where `data.doubts` says so. Raises UserError."""
    try:
        return check()
    except Doubt as doubt:
        if config.doubts == "refuse":
            raise UserError(f"{doubt}; if the text is as it should be, set data.doubts: warn") from None
        return [str(doubt)]


def _check_markings(layout: Layout, split: Split) -> list[str]:
    """Raises Doubt for markings that can't be right; returns what may be."""
    told = []
    ends = layout.sources[0], layout.sources[-1]
    for side, source, lines in zip(("source", "target"), ends, split.sides, strict=True):
        place = str(source) if layout.plain else f"{source}: {side}"
        for marking in find_markings(lines, source.label, layout.cells):
            if marking.certain:
                raise Doubt(f"{place}: {marking.text}")
            told.append(f"{place}: {marking.text}")
    return told


def _refuse_blanks(split: Split, config: DataConfig, name: str) -> None:
    pairs = zip(*split.sides, strict=True)
    if blank := [number for number, pair in enumerate(pairs, 1) if any(map(is_blank, pair))]:
        raise UserError(
            f"{config.path}: {name} has a blank line on one side at line {blank[0]} ({len(blank)} in all); "
            "scores would not be comparable, so remove these pairs from both files"
        )
