"""Pairs as Parquet or Arrow: tables by column, as `datasets` keeps and publishes them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.language_codes import find_sides
from trainables.data.reading.sources import Source

if TYPE_CHECKING:  # it is imported when such a file is read
    import pyarrow

ROWS = 8192  # in memory at a time
BUFFER = 1 << 20  # bytes of a column that are read at a time; without it, all of a group of rows

Columns: TypeAlias = list[tuple[str, ...]]  # the paths of source and target, as ("translation", "en")
Batches: TypeAlias = Iterator[tuple[Columns, "pyarrow.RecordBatch"]]
Choice: TypeAlias = Callable[["pyarrow.Schema"], Columns]


def read_parquet(source: Source, config: DataConfig) -> Rows:
    """The pairs of the columns of both languages, or of those within `translation`. Raises UserError."""
    return _read(source, config, _parquet_batches)


def read_arrow(source: Source, config: DataConfig) -> Rows:
    """As `read_parquet`, of a file or a stream of Arrow, also as Feather. Raises UserError."""
    return _read(source, config, _arrow_batches)


def _read(source: Source, config: DataConfig, open_batches: Callable[[Path, Choice], Batches]) -> Rows:
    import pyarrow

    read = 0
    try:
        with source.on_disk() as path:
            for columns, batch in open_batches(path, lambda schema: _find_columns(schema, config, source)):
                sides = [_texts(batch, column, source) for column in columns]
                for number, (first, second) in enumerate(zip(*sides, strict=True), read + 1):
                    yield number, first or "", second or ""
                read += batch.num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{source}: can't be read: {' '.join(str(error).split())}") from None


def _parquet_batches(path: Path, choose: Choice) -> Batches:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
        columns = choose(file.schema_arrow)
        names = [".".join(column) for column in columns]
        yield from ((columns, batch) for batch in file.iter_batches(ROWS, columns=names, use_threads=False))


def _arrow_batches(path: Path, choose: Choice) -> Batches:
    import pyarrow

    with pyarrow.OSFile(str(path)) as content:
        whole = content.read(6) == b"ARROW1"
        content.seek(0)
        with (pyarrow.ipc.open_file if whole else pyarrow.ipc.open_stream)(content) as table:
            columns = choose(table.schema)
            for batch in map(table.get_batch, range(table.num_record_batches)) if whole else table:
                for start in range(0, batch.num_rows, ROWS):
                    yield columns, batch.slice(start, ROWS)


def _texts(batch: "pyarrow.RecordBatch", column: tuple[str, ...], source: Source) -> list[str | None]:
    from pyarrow import compute, types

    values = batch.column(column[0])
    if column[1:]:
        values = compute.struct_field(values, list(column[1:]))
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not (types.is_string(values.type) or types.is_large_string(values.type) or types.is_string_view(values.type)):
        raise UserError(f"data.columns: {source}: column {'.'.join(column)} holds {values.type}, no text")
    try:
        return values.to_pylist()
    except UnicodeDecodeError:
        raise UserError(f"{source}: column {'.'.join(column)} is not UTF-8; convert it") from None


def _find_columns(schema: "pyarrow.Schema", config: DataConfig, source: Source) -> Columns:
    """Raises UserError."""
    paths = list(_leaves(schema))
    names = {".".join(path): path for path in paths}
    if config.columns:
        found = [_named(each, list(names)) for each in config.columns]
    else:
        outside = {path[0]: ".".join(path) for path in paths if len(path) == 1}
        within = {path[1]: ".".join(path) for path in paths if path[0] == "translation" and len(path) == 2}
        sides = [(among, find_sides(among, config, str(source))) for among in (outside, within)]
        found = next(
            ([among[pair[0]], among[pair[1]]] for among, pair in sides if pair), [config.source, config.target]
        )
    if missing := [each for each in found if each not in names]:
        raise UserError(
            f"data.columns: {source}: no column {missing[0]}; its columns are {', '.join(names)}; name source and "
            "target, as '[translation.en, translation.fr]'"
        )
    return [names[each] for each in found]


def _named(column: str | int, names: list[str]) -> str:
    return names[column - 1] if isinstance(column, int) and column <= len(names) else str(column)


def _leaves(fields: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each column, and of each field within one."""
    from pyarrow import types

    for field in fields:
        path = (*before, field.name)
        if types.is_struct(field.type):
            yield from _leaves(field.type, path)
        else:
            yield path
