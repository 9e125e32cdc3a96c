"""Translation by a command: lines in, as many lines out."""

import time
from collections.abc import Sequence
from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.temporary import temporary_folder
from trainables.command.config import CommandConfig
from trainables.command.lines import NewLines
from trainables.command.outcomes import Printed
from trainables.command.started import Start

POLL_SECONDS = 0.1


def translate_lines(config: CommandConfig, checkpoint: Path, lines: Sequence[str], cache: Path) -> list[str]:
    """Translate lines by the command, from a checkpoint of ours; a blank line stays blank.

    Blank lines are not given to the command, as some drop them.

    Raises UserError for a command that fails, hangs, or prints another number of lines.
    """
    places = [place for place, line in enumerate(lines) if line.strip()]
    found = [""] * len(lines)
    if not places:
        return found
    with temporary_folder() as folder:
        given, output = folder / "source.txt", folder / "translations.txt"
        given.write_text("".join(f"{' '.join(lines[place].split())}\n" for place in places), encoding="utf-8")
        printed = _run(config, checkpoint, cache, folder, given, output)
        try:
            texts = output.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise _failed(f"printed text that is not UTF-8 (byte {error.start + 1})", printed) from None
    if texts and not texts[-1]:
        texts.pop()
    if len(texts) != len(places):
        raise _failed(f"printed {len(texts):,} lines for {len(places):,} lines that are not blank", printed)
    for place, text in zip(places, texts, strict=True):
        found[place] = text.strip()
    return found


def _run(config: CommandConfig, checkpoint: Path, cache: Path, folder: Path, given: Path, output: Path) -> Printed:
    """Run the command to its end. Raises UserError."""
    work, log = folder / "work", folder / "log.txt"
    work.mkdir()
    printed, errors = Printed(config.command.outcomes), NewLines(log)
    process = Start(config, cache, work, checkpoint).process(log, given=given, output=output)
    deadline = time.monotonic() + config.command.timeout_seconds
    try:
        while (status := process.status()) is None:
            if time.monotonic() > deadline:
                raise _failed(f"took more than {config.command.timeout_seconds:g} s (command.timeout_seconds)", printed)
            time.sleep(POLL_SECONDS)
    finally:
        process.end()
    printed.keep(errors.read(to_the_end=True))
    if status != 0:
        raise _failed(f"ended with status {status}", printed)
    return printed


def _failed(what: str, printed: Printed) -> UserError:
    return UserError(f"command.translate: the command {what}{printed.last_words}; fix it, then resume")
