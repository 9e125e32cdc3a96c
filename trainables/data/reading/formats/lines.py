"""Lines of text, as people keep them; what can't be text is refused."""

from collections.abc import Iterator

from trainables.base.errors import UserError
from trainables.data.reading.sources import Source

# What takes no room on paper: zero-width spaces, joiners and marks, soft hyphens.
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
LONGEST = 1 << 24  # bytes of a line; so much without a line end is no text


def read_lines(source: Source) -> Iterator[str]:
    """The lines, one after another, without their ends, in bounded memory.

    Raises UserError for bad UTF-8, a damaged file, old line ends.
    """
    number, lone, rest = 0, 0, b""
    for place, block in enumerate(source.read()):
        if place == 0:
            block = block.removeprefix(b"\xef\xbb\xbf")
            _refuse_utf_16(source, block)
        whole, end, begun = (rest + block).rpartition(b"\n")
        rest = begun
        if not end:
            if len(rest) > LONGEST:
                _refuse_old_ends(source, rest.count(b"\r"), number + 1)
                raise UserError(
                    f"{source}: line {number + 1} has more than {LONGEST >> 20} MiB; is this text, a sentence a line?"
                )
            continue
        lines = _decode(source, whole, number)
        lone += whole.count(b"\r") - whole.count(b"\r\n") - whole.endswith(b"\r")
        number += len(lines)
        _refuse_old_ends(source, lone, number)
        yield from lines
    if rest:
        _refuse_old_ends(source, lone + rest.count(b"\r"), number + 1)
        yield from _decode(source, rest, number)


def is_blank(text: str) -> bool:
    """Whether there is nothing to see."""
    return not text[:1].isalnum() and not text.strip().strip(INVISIBLE).strip()


def _decode(source: Source, data: bytes, before: int) -> list[str]:
    """The lines of whole lines."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = before + 1 + data.count(b"\n", 0, error.start)
        byte = error.start - data.rfind(b"\n", 0, error.start)
        raise UserError(f"{source}: line {number} is not UTF-8 (byte {byte}); convert the file") from None
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    return text.split("\n")


def _refuse_utf_16(source: Source, block: bytes) -> None:
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(
            f"{source}: is UTF-16, not UTF-8; convert it, as by `iconv -f UTF-16 -t UTF-8 {source.label} > converted`"
        )


def _refuse_old_ends(source: Source, lone: int, lines: int) -> None:
    """Raises UserError for more carriage returns without a line feed than lines."""
    if lone > lines:
        raise UserError(
            f"{source}: its lines end with a carriage return alone, as on old Macs; convert it, as by "
            f"`tr '\\r' '\\n' < {source.label} > converted`"
        )
