"""Pairs as JSON Lines: a record a line."""

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.files import parse_json
from trainables.data.reading.formats.lines import read_lines
from trainables.data.reading.formats.records import pick_sides, wanted
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.sources import Source


def read_jsonl(source: Source, config: DataConfig) -> Rows:
    """The pairs; see `pick_sides` for where they stand in a record. Raises UserError."""
    where = str(source)
    for number, line in enumerate(read_lines(source), 1):
        try:
            yield number, *pick_sides(parse_json(line), config, where)
        except (ValueError, LookupError, AttributeError, TypeError):
            raise UserError(f"{source}: line {number} must be {wanted(config)}") from None
