"""The checkpoints of a trainer: when they are whole, copies of them that stay, and what a new training starts from."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from trainables.base.checkpoint_files import new_draft, publish_checkpoint
from trainables.base.errors import UserError
from trainables.base.files import digest_of
from trainables.base.report import EpochReport
from trainables.base.sealing import read_sealed
from trainables.command.description import STEP, CommandSettings

FILES = "files"  # in a checkpoint of ours: the trainer's files, as they were in its folder
SETTLED_SECONDS = 0.5  # a file that does not change for so long is whole


class CheckpointWatch:
    """Finds out when the checkpoint of a step is whole."""

    def __init__(self, settings: CommandSettings, folder: Path):
        """folder: in which the trainer writes."""
        self._settings, self._folder = settings, folder
        self._seen: list[tuple[Path, int, int]] = []
        self._since = 0.0

    def whole(self, step: int, ended: bool) -> list[Path] | None:
        """All files of the checkpoint; None while it is not whole.

        ended: whether the trainer has ended, so that nothing changes any more.
        """
        parts = [sorted(self._folder.glob(each.replace(STEP, str(step)))) for each in self._settings.checkpoint]
        files = [file for part in parts for path in part for file in _files_of(path)]
        last = self._settings.complete
        if not all(parts) or (last is not None and not any(file.name == last for file in files)):
            return None
        try:
            seen = [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        except FileNotFoundError:  # a temporary file that is gone
            return None
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return files if ended or last is not None or time.monotonic() - self._since >= SETTLED_SECONDS else None


def _files_of(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def keep_checkpoint(folder: Path, files: Sequence[Path], origin: Path, report: EpochReport, keep: int) -> None:
    """Copy the trainer's files from its folder `origin` into epoch-N of the trial's folder.

    They are copied, as trainers overwrite and remove their checkpoints. Raises OSError, UserError.
    """
    draft, digests = new_draft(folder), {}
    for file in files:
        name = f"{FILES}/{file.relative_to(origin)}"
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, draft / name)
        except FileNotFoundError:
            raise UserError(
                f"{file}: the command removed it while it was copied; let it keep its last two checkpoints"
            ) from None
        digests[name] = digest_of(draft / name)
    publish_checkpoint(draft, f"epoch-{int(report.epoch)}", {"files": digests, "report": report.stored()}, keep)


def checkpoint_path(checkpoint: Path, settings: CommandSettings) -> Path:
    """The first file or folder of a checkpoint of ours, as {checkpoint}."""
    step = read_sealed(checkpoint / "report.json")["report"]["step"]
    found = sorted((checkpoint / FILES).glob(settings.checkpoint[0].replace(STEP, str(step))))
    assert found, "it was complete when it was copied"
    return found[0]


def put_back(checkpoint: Path, folder: Path) -> None:
    """Copy the trainer's files of a checkpoint of ours into an empty folder, to where the trainer wrote them."""
    shutil.copytree(checkpoint / FILES, folder, dirs_exist_ok=True)
