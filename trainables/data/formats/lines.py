"""Lines of a text file, as people keep them; what can't be text is refused."""

import gzip
import zlib
from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.files import read_bytes

# What takes no room on paper: zero-width spaces, joiners and marks, soft hyphens.
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, gzipped or not. Raises UserError for bad UTF-8, a broken gzip file, old line ends."""
    try:
        data = read_bytes(path)
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: can't be read: {error}") from error
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if data.count(b"\r") - data.count(b"\r\n") > len(lines):
        raise UserError(
            f"{path}: its lines end with a carriage return alone, as on old Macs; convert it, as by "
            f"`tr '\\r' '\\n' < {path.name} > converted`"
        )
    text = []
    for number, line in enumerate(lines, 1):
        try:
            text.append(line.decode().removesuffix("\r"))
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: line {number} is not UTF-8 (byte {error.start + 1}); convert the file") from None
    return text


def is_blank(text: str) -> bool:
    """Whether there is nothing to see."""
    return not text[:1].isalnum() and not text.strip().strip(INVISIBLE).strip()
