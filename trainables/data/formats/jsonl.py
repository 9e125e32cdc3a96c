"""Pairs as JSON Lines: an object a line, with a text for each language."""

import re
from collections.abc import Iterator
from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.files import parse_json
from trainables.base.translation_config import DataConfig
from trainables.data.formats.lines import read_lines


def read_jsonl(path: Path, config: DataConfig) -> Iterator[tuple[str, str]]:
    """The pairs of a file, by language, in an object `translation` or without. Raises UserError."""
    for number, line in enumerate(read_lines(path), 1):
        try:
            record = parse_json(line)
            record = record.get("translation", record)
            # A sentence is one line of text.
            pair = " ".join(record[config.source].split()), " ".join(record[config.target].split())
        except (ValueError, KeyError, AttributeError, TypeError):
            wanted = f'{{"{config.source}": "…", "{config.target}": "…"}}'
            raise UserError(f"{path}: line {number} must be {wanted}") from None
        for side in pair:
            if half := re.search("[\ud800-\udfff]", side):
                raise UserError(
                    f"{path}: line {number} has half a character (\\u{ord(half[0]):04x}), as a cut emoji leaves it; "
                    "fix or remove the pair"
                )
        yield pair
