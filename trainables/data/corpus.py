"""Parallel text: read from files, or the embedded phrasebook, and checked before anything starts."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trainables.base.errors import Doubt, UserError
from trainables.base.test_opening import open_test
from trainables.base.translation_config import PHRASEBOOK, DataConfig
from trainables.data.examination import count_unlearned, examine
from trainables.data.filters import filtered, make_filters, tell_dropped
from trainables.data.finding import find_files
from trainables.data.formats import format_of
from trainables.data.formats.lines import is_blank
from trainables.data.language_guess import check_claims
from trainables.data.languages import check_languages
from trainables.data.markings import find_markings
from trainables.data.phrasebook import read_phrasebook
from trainables.data.reading import read_pairs
from trainables.data.scoring import check_references


@dataclass(frozen=True)
class Split:
    """Sentence pairs in file order: source[i] and target[i] translate each other."""

    source: list[str]
    target: list[str]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def sides(self) -> tuple[list[str], list[str]]:
        """Source and target."""
        return self.source, self.target

    def digest(self) -> str:
        """A hash of the text."""
        text = hashlib.sha256()
        for side in self.sides:
            text.update("\n".join(side).encode() + b"\0")
        return text.hexdigest()


@dataclass(frozen=True)
class Corpus:
    """The splits that training may see, and what is noteworthy about them. The test split is not here."""

    train: Split
    valid: Split
    warnings: list[str]

    def fingerprint(self) -> str:
        """A hash of the training text, to name what is learned from it."""
        return self.train.digest()


def read_corpus(config: DataConfig) -> Corpus:
    """Read and check the training and validation splits, and see that the test split exists.

    Raises UserError for what can't be right: a missing file, sides of unequal length, bad UTF-8, a split without
    sentences, a blank line in the validation text, and what `examine`, `find_markings` and `check_languages` refuse.
    Training pairs that `data.filters` drops are left out, and so are blank ones; warnings say how many.
    """
    if config.path == PHRASEBOOK:
        train, _, told = _filter(_first(_phrasebook_split(config, "train"), config.limit), config)
        return Corpus(train, _phrasebook_split(config, "valid"), told)
    find_files(config, config.test)
    train, warnings = _read_split(config, config.train)
    valid, _ = _read_split(config, config.valid)
    train, numbers, told = _filter(_first(train, config.limit), config)
    train, numbers, blanks = _without_blanks(train, numbers, config)
    warnings += told + blanks
    _refuse_blanks(valid, config, config.valid)
    warnings += _told(config, lambda: check_languages(train.sides, config.valid, valid.sides))
    check_references(config, valid.target)
    warnings += _told(config, lambda: examine(config.train, *train.sides, numbers))
    warnings += _told(config, lambda: examine(config.valid, *valid.sides, range(1, len(valid) + 1)))
    warnings += count_unlearned(config.train, [*train.source, *train.target])
    seen = set(train.source)
    if leaked := sum(sentence in seen for sentence in valid.source):
        warnings.append(
            f"{leaked} of {len(valid)} source sentences of {config.valid} also stand in {config.train}; "
            "valid BLEU will look better than it is"
        )
    return Corpus(train, valid, warnings)


def check_claimed_languages(config: DataConfig, corpus: Corpus) -> list[str]:
    """What may be wrong with the languages of training and validation text, as far as they can be guessed.

    Raises UserError where they contradict the claimed ones. Apart from `read_corpus`, which each worker calls: the
    guess takes a second to load.
    """
    told = []
    for name, split in ((config.train, corpus.train), (config.valid, corpus.valid)):
        told += _told(config, partial(check_claims, config, name, *split.sides))
    return told


def read_test(config: DataConfig, run_dir: Path, why: str) -> Split:
    """The test split: given out here alone, and not before the finalists are frozen in finalists.json of the run.

    Each opening is noted there, see `open_test`. Raises UserError for what is wrong with the files, RuntimeError if no
    finalists are frozen.
    """
    open_test(run_dir, why)
    return _test_split(config)


def digest_test(config: DataConfig, train: Split) -> dict[str, Any]:
    """How many pairs the test split has, and a hash of them, by which a run knows that it stays the same.

    No text leaves this function, so nothing can be chosen by it. Raises UserError for what is wrong with the files, or
    unlike the training text.
    """
    test = _test_split(config)
    _told(config, lambda: check_languages(train.sides, config.test, test.sides))
    _told(config, lambda: check_claims(config, config.test, *test.sides))
    _told(config, lambda: examine(config.test, *test.sides, range(1, len(test) + 1)))
    return {"pairs": len(test), "sha256": test.digest()}


def _test_split(config: DataConfig) -> Split:
    if config.path == PHRASEBOOK:
        return _phrasebook_split(config, "test")
    test, _ = _read_split(config, config.test)
    _refuse_blanks(test, config, config.test)
    return test


def _read_split(config: DataConfig, split: str) -> tuple[Split, list[str]]:
    """The pairs of a split, and what is noteworthy about the look of their lines. Raises UserError."""
    pairs = list(read_pairs(config, split))
    sides = Split([source for source, _ in pairs], [target for _, target in pairs])
    paths = find_files(config, split)
    if not len(sides):
        raise UserError(f"{paths[0]} is empty; it must hold one sentence a line")
    return sides, _told(config, lambda: _check_markings(paths, sides))


def _told(config: DataConfig, check: Callable[[], list[str]]) -> list[str]:
    """What a check has to tell of text; its doubts, too, where `data.doubts` says so. Raises UserError."""
    try:
        return check()
    except Doubt as doubt:
        if config.doubts == "refuse":
            raise UserError(f"{doubt}; if the text is as it should be, set data.doubts: warn") from None
        return [str(doubt)]


def _check_markings(paths: tuple[Path, ...], split: Split) -> list[str]:
    """Raises Doubt for markings that can't be right; returns what may be."""
    told = []
    cells = len(paths) == 1 and format_of(paths[0]).cells
    for side, path, lines in zip(("source", "target"), (paths[0], paths[-1]), split.sides, strict=True):
        place = str(path) if len(paths) == 2 else f"{path}: {side}"
        for marking in find_markings(lines, path.name, cells):
            if marking.certain:
                raise Doubt(f"{place}: {marking.text}")
            told.append(f"{place}: {marking.text}")
    return told


def _first(split: Split, limit: int | None) -> Split:
    return Split(split.source[:limit], split.target[:limit])


def _blank_lines(split: Split) -> list[int]:
    """1-based numbers of the pairs with a blank side."""
    pairs = zip(split.source, split.target, strict=True)
    return [number for number, pair in enumerate(pairs, 1) if any(map(is_blank, pair))]


def _filter(train: Split, config: DataConfig) -> tuple[Split, Sequence[int], list[str]]:
    """The pairs that `data.filters` leaves, their numbers in the file, and what was dropped."""
    if not config.filters.chosen:
        return train, range(1, len(train) + 1), []
    dropped: Counter[str] = Counter()
    kept = list(filtered(zip(*train.sides, strict=True), make_filters(config), dropped))
    told = tell_dropped(dropped, len(train), config)
    if not kept:
        raise UserError(f"{told}, so nothing is left to train on; relax them")
    return Split([pair[1] for pair in kept], [pair[2] for pair in kept]), [pair[0] for pair in kept], [told]


def _without_blanks(split: Split, numbers: Sequence[int], config: DataConfig) -> tuple[Split, Sequence[int], list[str]]:
    """The other pairs, their numbers in the file, and a warning. numbers: those of all pairs."""
    blank = _blank_lines(split)
    if not blank:
        return split, numbers, []
    if len(blank) == len(split):
        raise UserError(f"{config.path}: every pair of {config.train} has a blank side")
    gone = set(blank)
    kept = [number - 1 for number in range(1, len(split) + 1) if number not in gone]
    first = numbers[blank[0] - 1]
    warning = f"{len(blank)} training pairs with a blank side are left out, the first at line {first}"
    source, target = ([side[place] for place in kept] for side in split.sides)
    return Split(source, target), [numbers[place] for place in kept], [warning]


def _refuse_blanks(split: Split, config: DataConfig, name: str) -> None:
    if blank := _blank_lines(split):
        raise UserError(
            f"{config.path}: {name} has a blank line on one side at line {blank[0]} ({len(blank)} in all); "
            "scores would not be comparable, so remove these pairs from both files"
        )


def _phrasebook_split(config: DataConfig, split: str) -> Split:
    source, target = zip(*read_phrasebook(config, split), strict=True)
    return Split(list(source), list(target))
