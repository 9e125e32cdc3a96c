"""Both sides of a nested record, as JSON, Parquet and Arrow have them."""

from typing import Any

from trainables.base.data_config import DataConfig
from trainables.data.reading.language_codes import find_sides


def pick_sides(record: Any, config: DataConfig, where: str) -> tuple[str, str]:
    """Source and target: by language, in an object `translation` or without, or as the paths of `data.columns` say.

    A path is names with dots between them, or the number of an item. Raises ValueError, KeyError, TypeError or
    IndexError for a record without these texts, UserError for names that leave a choice.
    """
    if config.columns:
        pair = _follow(record, config.columns[0]), _follow(record, config.columns[1])
    else:
        if isinstance(record, dict):
            record = record.get("translation", record)
        if config.source in record and config.target in record:  # the usual case, for each of millions
            pair = record[config.source], record[config.target]
        elif sides := find_sides(record.keys(), config, where):
            pair = record[sides[0]], record[sides[1]]
        else:
            raise KeyError(config.source)
    source, target = pair
    if not isinstance(source, str) or not isinstance(target, str):
        raise TypeError("no text")
    return source, target


def wanted(config: DataConfig) -> str:
    """What a record must be, for a message."""
    if config.columns:
        return f"an object with texts at {config.columns[0]} and {config.columns[1]}, which data.columns names"
    return f'{{"{config.source}": "…", "{config.target}": "…"}}'


def _follow(record: Any, path: str | int) -> Any:
    if isinstance(path, int):
        return record[path - 1]
    if isinstance(record, dict) and path in record:  # a name with a dot in it
        return record[path]
    for name in path.split("."):
        record = record[int(name) - 1] if isinstance(record, list) else record[name]
    return record
