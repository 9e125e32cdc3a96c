"""How people call the files of a corpus: a table of names, by which splits are found among many files."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats import FORMATS, format_of
from trainables.data.reading.language_codes import find_sides, same_language
from trainables.data.reading.sources import Source

# What else splits are called, where nothing has their own name.
SPLITS = {"train": ("training",), "valid": ("dev", "val", "validation"), "test": ("devtest",)}

# Names without the ending of a compression. Two files make a pair of sides; a table holds both.
SIDES = (
    "{split}.{language}",
    "{split}.{pair}.{language}",
    "{split}.{language}.txt",
    "{split}_{language}",
    "{split}_{language}.txt",
    "{split}/{language}",
    "{split}/{language}.txt",
    "{split}/{language}.{split}",
    "{language}/{split}",
    "{language}/{split}.txt",
)
TABLES = ("{split}.{form}", "{split}.{pair}.{form}", "{begin}{split}{shard}.{form}", "{split}/{any}.{form}")
# A corpus without splits.
WHOLE_SIDES = ("{name}.{language}", "{name}.{language}.txt", "{language}", "{language}.txt")
WHOLE_TABLES = ("{name}.{form}", "{name}{shard}.{form}")

PARTS = {
    "{language}": r"(?P<language>[A-Za-z0-9_-]+)",
    "{pair}": r"(?P<pair>[A-Za-z0-9_]+-[A-Za-z0-9_]+)",
    "{form}": rf"(?P<form>{'|'.join(FORMATS)})",
    "{shard}": r"(?:-\d+-of-\d+)",
    "{name}": r"(?P<name>[^/]+?)",
    "{begin}": r"(?P<name>(?:[^/]+-)?)",
    "{any}": r"[^/]+",
}
# Files that lie beside the text of a folder that `datasets` wrote.
NO_TEXT = re.compile(r"(?:.*/)?(?:dataset_info|dataset_infos|dataset_dict|state)\.json|(?:.*/)?cache-[^/]*")


@dataclass(frozen=True)
class Layout:
    """Where pairs lie: in two plain sources, line by line, or in tables, one after another."""

    sources: tuple[Source, ...]
    plain: bool = False
    part: bool = False  # some pairs alone, as `data.split` says
    references: tuple[Source, ...] = ()  # further translations of the whole text

    def __str__(self) -> str:
        return " with ".join(each.member or each.file.name for each in self.sources[:2])

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that they lie in."""
        return tuple(dict.fromkeys(source.file for source in (*self.sources, *self.references)))

    @property
    def cells(self) -> bool:
        """Whether text lies between separators; see `Format`."""
        return not self.plain and format_of(self.sources[0]).cells


def find_split(names: Mapping[str, Source], split: str, config: DataConfig, where: str) -> list[Layout]:
    """All that may be this split: by its own name, else by another that stands for it. Raises UserError."""
    others = [name for name in SPLITS.get(split, ()) if name not in config.splits]
    for wanted in ([split], others):
        found = [text for name in wanted for text in _find(names, SIDES, TABLES, name, config, where)]
        if found:
            return list(dict.fromkeys(found))
    return []


def find_name_of(split: str, names: Collection[str], config: DataConfig) -> str | None:
    """By which of these names a split is called. Raises UserError if it can be more than one."""
    others = [name for name in SPLITS.get(split, ()) if name not in config.splits and name in names]
    if split in names or not others:
        return split if split in names else None
    if len(others) > 1:
        raise UserError(f"data.path: {config.path}: {' or '.join(others)} can be {split}; name it by data.{split}")
    return others[0]


def find_whole(names: Mapping[str, Source], config: DataConfig, where: str) -> list[Layout]:
    """All that may be a corpus without splits. Raises UserError."""
    splits = {*config.splits, *SPLITS, *(other for others in SPLITS.values() for other in others)}
    free = {name: source for name, source in names.items() if re.split(r"[./_-]", name)[0] not in splits}
    return list(dict.fromkeys(_find(free, WHOLE_SIDES, WHOLE_TABLES, "", config, where)))


def _find(
    names: Mapping[str, Source],
    sides: tuple[str, ...],
    tables: tuple[str, ...],
    split: str,
    config: DataConfig,
    where: str,
) -> Iterator[Layout]:
    for template in sides:
        for languages in _groups(names, template, split, config, "language"):
            if pair := find_sides(languages, config, where):
                yield Layout((languages[pair[0]], languages[pair[1]]), plain=True)
    for template in tables:
        for parts in _groups(names, template, split, config, "file"):
            yield Layout(tuple(_refuse_missing(parts, where)[name] for name in sorted(parts)))


def _groups(
    names: Mapping[str, Source], template: str, split: str, config: DataConfig, key: str
) -> list[dict[str, Source]]:
    """What fits a template, by what differs within a corpus: its languages, or its parts."""
    groups: dict[tuple[str, str], dict[str, Source]] = {}
    pattern = _pattern(template, split)
    for name, source in names.items():
        if split in name and (match := pattern.fullmatch(name)) and not NO_TEXT.fullmatch(name):
            found = match.groupdict()
            if "pair" not in found or _is_pair(found["pair"], config):
                group = groups.setdefault((found.get("name", ""), found.get("form", "")), {})
                group[found["language"] if key == "language" else name] = source
    return list(groups.values())


@lru_cache(maxsize=256)
def _pattern(template: str, split: str) -> re.Pattern[str]:
    pieces = re.split(r"(\{\w+\})", template)
    known = {"{split}": re.escape(split), **PARTS}
    return re.compile("".join(known.get(piece, re.escape(piece)) for piece in pieces))


def _is_pair(text: str, config: DataConfig) -> bool:
    first, _, second = text.partition("-")
    codes = (config.source, config.target)
    return any(same_language(one, first) and same_language(other, second) for one, other in (codes, codes[::-1]))


def _refuse_missing(parts: dict[str, Source], where: str) -> dict[str, Source]:
    """Raises UserError if some of the files of a table, called as 00001-of-00008, are not there."""
    numbers = [match for name in parts if (match := re.search(r"(\d+)-of-(\d+)\.\w+$", name))]
    have, wanted = {int(match[1]) for match in numbers}, {int(match[2]) for match in numbers}
    if numbers and (len(wanted) > 1 or len(have) != max(wanted)):
        raise UserError(f"{where}: {len(have)} of the {max(wanted)} parts of {min(parts)} are there; fetch the others")
    return parts
