"""Files that are whole or absent."""

import os
from pathlib import Path

from trainables.errors import UserError


def make_folder(folder: Path) -> None:
    """Create the folder and its parents, if they are not there. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: can't be created: {error.strerror}; choose another output_dir") from None


def unwritable(file: Path, error: BaseException) -> UserError:
    """For a write into a run that failed: a full disk, a lost mount."""
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{file}: can't be written: {reason}; nothing is lost: mend it (is the disk full?), then resume")


def write_atomically(file: Path, content: str | bytes) -> None:
    """Replace the file by the content; a crash leaves the old one or the new one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with draft.open("wb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
