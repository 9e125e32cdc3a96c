"""How a training by a command ended: by its reports, else by what it printed, else by its exit status."""

import re
from collections import deque
from collections.abc import Iterable, Sequence

from trainables.base.errors import SHOWN, Diverged, TooLarge, UserError, shortened
from trainables.command.description import OutcomesConfig

BY_SIGNAL = 128  # a higher exit status is that of a signal
KEPT = 3  # of the last lines that a command printed


class CommandDied(Exception):
    """The command was killed, by the system or by a fault of its own, so the same training is started again."""


class Printed:
    """What a command prints: the lines that say how it ended, and the last ones for messages."""

    def __init__(self, settings: OutcomesConfig):
        self._diverged = re.compile(settings.diverged) if settings.diverged else None
        self._out_of_memory = re.compile(settings.out_of_memory)
        self._last: deque[str] = deque(maxlen=KEPT)
        self._lacks_memory: str | None = None
        self._nan: str | None = None

    def keep(self, lines: Iterable[str]) -> None:
        """Keep the last lines for messages."""
        for line in lines:
            if text := "".join(character for character in line if character.isprintable()).strip():
                self._last.append(text)

    def take(self, lines: Sequence[str]) -> None:
        """Take new lines."""
        self.keep(lines)
        for line in lines:
            if self._nan is None and self._diverged and self._diverged.search(line):
                self._nan = line.strip()
            if self._lacks_memory is None and self._out_of_memory.search(line):
                self._lacks_memory = line.strip()

    def check(self) -> None:
        """Raises Diverged if it was printed that the training has diverged."""
        if self._nan is not None:
            raise Diverged(f"the command printed: {shortened(self._nan)}")

    @property
    def last_words(self) -> str:
        """The end of a message: the end of what was printed."""
        text = " / ".join(self._last)
        return f": {text if len(text) <= SHOWN else f'…{text[-SHOWN:]}'}" if text else ""

    def raise_end(self, status: int, missing: str) -> None:
        """Raise the error for a command that ended too early.

        missing: what it owes, such as "before its report at step 500".

        Raises TooLarge, UserError, or CommandDied for a signal.
        """
        if self._lacks_memory is not None:
            raise TooLarge(f"memory is too small for it: {shortened(self._lacks_memory)}")
        if status > BY_SIGNAL:
            raise CommandDied(f"signal {status - BY_SIGNAL} ended the command {missing}{self.last_words}")
        raise UserError(f"the command ended by itself with status {status} {missing}{self.last_words}")
