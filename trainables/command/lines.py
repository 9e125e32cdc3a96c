"""The lines that a growing file gets."""

from pathlib import Path


class NewLines:
    """Reads the complete lines of a file that were not read yet."""

    def __init__(self, file: Path, skip: bool = False):
        """skip: whether to leave out what is in the file now."""
        self._file = file
        self._place = file.stat().st_size if skip and file.exists() else 0

    def read(self, to_the_end: bool = False) -> list[str]:
        """The new lines. to_the_end: whether to take a last line that does not end, as nothing follows any more."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._place)
                data = file.read()
        except FileNotFoundError:
            return []
        if not to_the_end:
            data = data[: data.rfind(b"\n") + 1]
        self._place += len(data)
        return data.decode(errors="replace").replace("\r", "\n").splitlines()
