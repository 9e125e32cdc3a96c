"""What all forms of text give: rows, one after another."""

from collections.abc import Iterator

# The number of the line or record, from 1, and both sides as they stand there.
Rows = Iterator[tuple[int, str, str]]
