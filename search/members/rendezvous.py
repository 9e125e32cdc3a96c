"""The folder in which machines that search together find each other: one of them leads, the others join it."""

import fcntl
import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.files import make_folder, parse_json, read_bytes, unwritable

LEADER, LOCK, ENDED = "leader.json", "leader.lock", "ended.json"


@dataclass(frozen=True)
class Leader:
    """A machine that has the head of Ray."""

    address: str  # HOST:PORT
    token: str  # of its Ray; who has it can run code there


class Rendezvous:
    """A folder that all machines share, with file locks that work between them. Only its owner may read it."""

    def __init__(self, folder: Path):
        """Make the folder. Raises UserError."""
        self.folder = folder
        make_folder(folder)
        folder.chmod(0o700)
        self._lock: int | None = None

    def take_lead(self) -> bool:
        """Become the leader, unless another process is; a leader's lock is released when its process ends."""
        if self._lock is not None:
            return True
        try:
            descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise unwritable(self.folder / LOCK, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            raise UserError(
                f"{self.folder}: has no file locks ({error.strerror}); choose an output_dir with flock, such as NFS 4"
            ) from None
        self._lock = descriptor
        return True

    def announce(self, leader: Leader) -> None:
        """Tell the others where to join."""
        self._write(LEADER, asdict(leader))

    def withdraw(self) -> None:
        """Stop to lead."""
        (self.folder / LEADER).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def leader(self) -> Leader | None:
        """The leader that was announced last; None if there is none. It may have died."""
        try:
            known = parse_json(read_bytes(self.folder / LEADER))
            return Leader(str(known["address"]), str(known["token"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def end(self, status: int) -> None:
        """Tell the others that the search has ended, with this exit status."""
        self._write(ENDED, {"status": status})

    @property
    def ended(self) -> int | None:
        """The exit status of the search; None while it has not ended."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(parse_json(read_bytes(self.folder / ENDED))["status"])
        return None

    def begin_again(self) -> None:
        """Forget that an earlier search ended."""
        (self.folder / ENDED).unlink(missing_ok=True)

    def _write(self, name: str, content: dict[str, object]) -> None:
        """Write a file that only its owner can read, whole or not at all."""
        draft = self.folder / f".{name}-{secrets.token_hex(4)}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file)
            draft.replace(self.folder / name)
        except OSError as error:
            raise unwritable(self.folder / name, error) from error
