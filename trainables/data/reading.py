"""The pairs of a split, one after another, whatever form its files have."""

from collections.abc import Iterator

from trainables.base.errors import UserError
from trainables.base.translation_config import DataConfig
from trainables.data.finding import find_files
from trainables.data.formats import format_of
from trainables.data.formats.lines import read_lines


def read_pairs(config: DataConfig, split: str) -> Iterator[tuple[str, str]]:
    """Yield source and target of each pair of the split called so in file names, in the order of the file.

    White space around a sentence is taken off; a side may be blank. Raises UserError for a file that is missing or
    can't be read, and for sides of unequal length.
    """
    paths = find_files(config, split)
    if len(paths) == 1:
        yield from format_of(paths[0]).read(paths[0], config)
        return
    source, target = ([line.strip() for line in read_lines(path)] for path in paths)
    if len(source) != len(target):
        raise UserError(
            f"{paths[1]}: its number of lines is {len(target)}, that of {paths[0].name} is {len(source)}; "
            "line i must translate line i"
        )
    yield from zip(source, target, strict=True)
