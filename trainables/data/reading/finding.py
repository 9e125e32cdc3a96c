"""Which files hold a split: by usual names in a folder or an archive, by a pattern, or one file that holds all."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from itertools import count, takewhile
from pathlib import Path

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats import FORMATS
from trainables.data.reading.layouts import Layout, find_name_of, find_split, find_whole
from trainables.data.reading.published.hub import fetch
from trainables.data.reading.published.test_sets import find_test_set
from trainables.data.reading.sources import (
    DEPTH,
    Source,
    by_unpacked_name,
    is_archive,
    list_files,
    list_members,
    unpacked_name,
)

SHOWN = 12  # of them in a message
HINT = (
    "give a folder of train.en, train.fr, …, one file as pairs.tsv or pairs.tmx, a .zip or .tar, a pattern as "
    "corpus/{split}.{language}, or 'phrasebook'"
)
TAKE_OUT = "pairs of the training text can serve: data.split: {valid: 1000, test: 1000}"


class NoSuchSplit(UserError):
    """No file holds a split."""


def find_files(config: DataConfig, split: str, alone: bool = False) -> tuple[Path, ...]:
    """The files that the pairs of a split come from; see `find_layout`. Raises UserError."""
    return find_layout(config, split, alone).files


def find_layout(config: DataConfig, split: str, alone: bool = False) -> Layout:
    """Where the pairs of a split lie: in files of its own, or in those out of which `data.split` takes it.

    alone: Whether a corpus without splits may be the training text, with nothing for the others.

    Raises:
        NoSuchSplit: If there are no files for it.
        UserError: For files that could be meant in more than one way, or that may not be read.
    """
    try:
        return _find_layout(config, split, alone)
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise UserError(
            f"data.path: {error.filename or config.path}: {error.strerror}; name a path that this user may read"
        ) from None


def _find_layout(config: DataConfig, split: str, alone: bool) -> Layout:
    place = _place(config)
    own = find_test_set(config, split) if "://" in split else place.split(split)
    if split in config.held_out:
        if own:
            raise UserError(f"data.split: {config.path} has {own} for {split} already; leave {split} out of data.split")
    elif split != config.train or not config.held_out:
        if found := own or (place.whole() if alone else None):
            return found
        raise place.missing(split)
    if base := place.split(config.train) or place.whole():
        return replace(base, part=True)
    raise place.missing(config.train)


def _place(config: DataConfig) -> "_Place":
    if config.path.startswith("hf://"):
        return _InHub(config)
    return _Pattern(config) if "{" in config.path else _Named(config)


class _Place:
    """Where files are looked for."""

    def __init__(self, config: DataConfig):
        self._config, self._path = config, config.path

    def split(self, split: str) -> Layout | None:
        """The text of a split that has files of its own."""
        raise NotImplementedError

    def whole(self) -> Layout | None:
        """The text of a corpus without splits."""
        raise NotImplementedError

    def missing(self, split: str) -> UserError:
        """For a split that is not there."""
        raise NotImplementedError


class _Pattern(_Place):
    """Files as 'corpus/{split}.{language}.gz' says; without {language} it names one table."""

    def split(self, split: str) -> Layout | None:
        if "{split}" not in self._path:
            return None
        if "{language}" in self._path and (references := self._references(split)):
            first = self._text([self._paths(split)[0], references[0]])
            return replace(first, references=tuple(filter(None, map(_source_at, references[1:]))))
        paths = self._paths(split)
        return self._text(paths) if any(_source_at(path) for path in paths) else None

    def whole(self) -> Layout | None:
        return None if "{split}" in self._path else self._text(self._paths(""))

    def missing(self, split: str) -> UserError:
        more = "" if split == self._config.train else f"; {TAKE_OUT}"
        return NoSuchSplit(self._no_such(self._paths(split)[0]) + more)

    def _paths(self, split: str) -> list[Path]:
        languages = (self._config.source, self._config.target) if "{language}" in self._path else ("",)
        return [Path(self._path.format(split=split, language=language)) for language in languages]

    def _references(self, split: str) -> list[Path]:
        """The files of several references, such as test.de.0 and test.de.1; none for a test with a single one."""
        languages = (f"{self._config.target}.{number}" for number in count())
        paths = (Path(self._path.format(split=split, language=language)) for language in languages)
        return list(takewhile(lambda path: _source_at(path) is not None, paths))

    def _text(self, paths: list[Path]) -> Layout:
        sources = []
        for path in paths:
            source = _source_at(path)
            if not source:
                raise UserError(self._no_such(path))
            if len(paths) > 1 and (form := source.name.rpartition(".")[2]) in FORMATS:
                raise UserError(f"data.path: {path}: a file .{form} holds both languages; leave {{language}} out")
            sources.append(source)
        return Layout(tuple(sources), plain=len(sources) == 2)

    def _no_such(self, path: Path) -> str:
        return f"{path}: no such file; data.path is the pattern {self._path}"


def _source_at(path: Path) -> Source | None:
    """The file, or the member of an archive as corpus.zip/train.en."""
    if path.is_file():
        return Source(path)
    for above in path.parents:
        if above.is_file() and is_archive(above):
            return next((each for each in list_members(above) if above / each.member == path), None)
    return None


class _InHub(_Place):
    """A corpus of the Hugging Face Hub, which knows its splits by name."""

    def split(self, split: str) -> Layout | None:
        name = find_name_of(split, fetch(self._path), self._config)
        return Layout(fetch(self._path)[name]) if name else None

    def whole(self) -> Layout | None:
        return None

    def missing(self, split: str) -> UserError:
        there = ", ".join(fetch(self._path))
        return NoSuchSplit(f"{self._path}: no split {split}; it has {there}; name it by data.train, … or {TAKE_OUT}")


class _Named(_Place):
    """A folder or an archive with files that have usual names, or one file with all pairs."""

    def split(self, split: str) -> Layout | None:
        found = self._only(find_split(self._names, split, self._config, self._path), split)
        return found and self._with_references(found)

    def _with_references(self, found: Layout) -> Layout:
        """The text with further references, such as test.de.1 beside test.de.0. Raises UserError."""
        target = next((name for name, source in self._names.items() if source == found.sources[-1]), "")
        name = target.removesuffix(".0")
        if target == name and f"{name}.0" in self._names and self._names[f"{name}.0"] != found.sources[-1]:
            raise UserError(f"data.path: {self._path}: {name} and {name}.0 are both there; keep one of them")
        more = takewhile(lambda each: each in self._names, (f"{name}.{number}" for number in count(1)))
        return replace(found, references=tuple(self._names[each] for each in more) if found.plain else ())

    def whole(self) -> Layout | None:
        if self._is_table:
            return Layout((Source(Path(self._path)),))
        return self._only(find_whole(self._names, self._config, self._path), "a corpus without splits")

    def missing(self, split: str) -> UserError:
        train, source, target = self._config.train, self._config.source, self._config.target
        if not self.split(train) and (whole := self.whole()):
            return NoSuchSplit(f"{self._path}: has no split {split}, but {whole}, a corpus without splits; {TAKE_OUT}")
        for wanted, other in ((source, target), (target, source)):
            if f"{split}.{other}" in self._names:
                return UserError(
                    f"{self._path}: {split}.{wanted} is missing beside {split}.{other}; add it, or name "
                    "the languages with data.source, data.target"
                )
        forms = ", ".join(f".{form}" for form in FORMATS)
        present = ", ".join(sorted(self._names)[:SHOWN]) or "nothing"
        more = "" if split == train else f"; or {TAKE_OUT}"
        return NoSuchSplit(
            f"{self._path}: no {split}.{source} with {split}.{target} (or {forms}, or .gz and the like); it holds "
            f"{present}; name the splits with data.train, data.valid, data.test, the languages with data.source, "
            f"data.target{more}"
        )

    @cached_property
    def _is_table(self) -> bool:
        """Whether it is one file with all pairs."""
        path = Path(self._path)
        return path.is_file() and unpacked_name(path.name).rpartition(".")[2] in FORMATS

    @cached_property
    def _names(self) -> dict[str, Source]:
        """All files there are, by their names within the folder that holds the training text."""
        path = Path(self._path)
        if path.is_dir():
            files = list_files(path)
        elif path.is_file() and is_archive(path):
            files = {source.member.removeprefix("./"): source for source in list_members(path)}
        elif self._is_table:
            return {}
        else:
            what = "is a file, not a folder" if path.is_file() else "does not exist"
            raise UserError(f"data.path: {path} {what}; {HINT}")
        names = self._rooted(by_unpacked_name(files))
        first = {name.removesuffix(".0"): source for name, source in names.items() if name.endswith(".0")}
        return {**first, **names}  # of several references, the first stands for the target

    def _rooted(self, names: dict[str, Source]) -> dict[str, Source]:
        """Names below the nearest folder with training text, such as data/ of a repository."""
        for search in (partial(find_split, split=self._config.train), find_whole):
            for depth in range(DEPTH):
                below = _by_folder(names, depth)
                found = [folder for folder in below if search(below[folder], config=self._config, where=self._path)]
                if len(found) == 1:
                    return below[found[0]]
                if found:
                    both = " and ".join(sorted(found))
                    raise UserError(f"data.path: {self._path}: {both} have training text; name one of them")
        return names

    def _only(self, texts: list[Layout], what: str) -> Layout | None:
        if len(texts) > 1:
            raise UserError(
                f"data.path: {self._path}: {' or '.join(map(str, texts))} can be {what}; name it by data.train, "
                "data.valid or data.test, or give a pattern as {split}.{language}"
            )
        return texts[0] if texts else None


def _by_folder(names: Mapping[str, Source], depth: int) -> dict[str, dict[str, Source]]:
    """The names below each folder of this depth, which has a slash at its end; the corpus itself is of depth 0."""
    groups: dict[str, dict[str, Source]] = {}
    for name, source in names.items():
        *folders, _ = name.split("/")
        if len(folders) >= depth:
            folder = "".join(f"{each}/" for each in folders[:depth])
            groups.setdefault(folder, {})[name[len(folder) :]] = source
    return groups
