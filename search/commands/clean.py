"""`babeltune clean`: lists files that runs and caches no longer need, and removes them after asking."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from rich.console import Console
from rich.filesize import decimal
from rich.prompt import Confirm

from model.config import Config
from search.commands.lines import say
from search.driver.beginning import has_begun, leftovers
from search.settings.wording import count
from trainables.base.checkpoint_files import checkpoint_number
from trainables.base.command_line import parse_config
from trainables.base.errors import UserError
from trainables.base.files import drafts, named_path, read_bytes, remove
from trainables.base.help_pages import Program
from trainables.base.installed import program
from trainables.base.locks import left_alone
from trainables.base.sealing import read_sealed
from trainables.base.temporary import abandoned, is_held, user_folder
from trainables.base.translation_config import TokenizerConfig
from trainables.data.encoding.encoded_text import INDEX
from trainables.data.encoding.tokenizer import name_tokenizer

IDLE_SECONDS = 3600.0  # files without a lock that are younger may be in use
UNFINISHED = ("experiment.yaml", "locks", "inputs.json")  # a folder with one of them is a run


class Cleaning(Config):
    """Where to look, and whether to ask."""

    output_dir: str = Field("runs", min_length=1, description="holds the run directories and the caches they share")
    yes: bool = Field(False, description="remove what is found without asking")


@dataclass(frozen=True)
class Waste:
    """A file or folder that is no longer needed."""

    path: Path
    why: str
    run: Path | None = None  # the run whose lock must be held to remove it

    @property
    def size(self) -> int:
        """The bytes that its removal frees; files with another hard link free none."""
        if self.path.is_symlink() or not self.path.is_dir():
            return _freed(self.path)
        return sum(_freed(Path(folder, name)) for folder, _, names in os.walk(self.path) for name in names)


def main(arguments: list[str], console: Console) -> int:
    """List unneeded files, ask, and remove them. Raises UserError."""
    about = "List files that runs and caches no longer need, and remove them after asking."
    options, _ = parse_config(Cleaning, arguments, Program(program("clean"), about))
    output_dir = named_path("--output_dir", options.output_dir)
    if not output_dir.is_dir():
        raise UserError(f"--output_dir: {output_dir} is not a folder; name the one that holds your runs")
    found = [*_of_runs(output_dir), *_of_caches(output_dir), *_of_this_machine()]
    for waste in found:
        say(console, f"{decimal(waste.size):>9}  {waste.path}: {waste.why}")
    if not found:
        say(console, f"{output_dir}: nothing to remove")
        return 0
    total = f"{count(len(found), 'entry', 'entries')}, {decimal(sum(waste.size for waste in found))}"
    if not options.yes and not _agreed(console, total):
        return 0
    still = {*_of_caches(output_dir), *_of_this_machine()}  # the answer may have taken a while
    kept = [waste for waste in found if not ((waste.run or waste in still) and _removed(waste))]
    for waste in kept:
        say(console, f"kept: {waste.path}: it is in use now, or can't be removed")
    say(console, f"removed {count(len(found) - len(kept), 'entry', 'entries')}")
    return 0


def _agreed(console: Console, total: str) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say(console, f"{total}; there is no terminal to ask at, so nothing is removed; --yes removes it")
        return False
    try:
        return Confirm.ask(f"Remove {total}?", console=console, default=False)
    except EOFError:
        return False


def _removed(waste: Waste) -> bool:
    """Remove it, and return whether it is gone. Files of a run are checked again under the run's lock."""
    try:
        if waste.run is None:
            remove(waste.path)
            return True
        with left_alone(waste.run) as alone:
            if not alone or waste not in list(_of_run(waste.run)):
                return False
            remove(waste.path)
            return True
    except OSError:
        return False


def _of_runs(output_dir: Path) -> Iterator[Waste]:
    for run_dir in _runs(output_dir):
        with left_alone(run_dir) as alone:
            if alone:
                yield from list(_of_run(run_dir))


def _runs(output_dir: Path) -> list[Path]:
    folders = sorted(path for path in output_dir.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [folder for folder in folders if any((folder / name).exists() for name in UNFINISHED)]


def _of_run(run_dir: Path) -> Iterator[Waste]:
    """Unneeded files of a run without a driver; a resume does not use them."""
    if not has_begun(run_dir):
        yield Waste(run_dir, "a search that ended before its first trial", run_dir)
        return
    for path in leftovers(run_dir):
        yield Waste(path, "left by a process that was killed", run_dir)
    for folder in _checkpoints(run_dir.glob("earlier/[0-9]*/finals/*")):
        yield Waste(folder, "a checkpoint of finals before the search was extended", run_dir)
    taken = [folder.parent for folder in run_dir.glob("earlier/[0-9]*/taken.json")]
    for folder in _checkpoints(trial for earlier in taken for trial in earlier.glob("trials/*")):
        yield Waste(folder, "a checkpoint of a space that was changed since", run_dir)
    yield from _of_finals(run_dir)


def _of_finals(run_dir: Path) -> Iterator[Waste]:
    """Checkpoints of ranked finalists, except the best one, which `best/` can be made from."""
    if not (run_dir / "report.html").exists() or not (run_dir / "best").is_dir():
        return
    try:
        first = read_sealed(run_dir / "leaderboard.json")["ranking"][0]
        best = {str(number) for number in first["final_trials"] or ()}
    except (UserError, LookupError, TypeError):
        return
    scored = (folder for folder in run_dir.glob("finals/*") if (folder / "test.json").exists())
    for folder in _checkpoints(folder for folder in scored if best and folder.name not in best):
        yield Waste(folder, "a checkpoint of a ranked finalist that is not the best", run_dir)


def _checkpoints(folders: Iterator[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in folder.glob("*") if checkpoint_number(path.name) is not None)


def _of_caches(output_dir: Path) -> Iterator[Waste]:
    """What is made of corpora that no run uses. It would be made again when it is missing, with the same result."""
    tokenizers = output_dir / ".cache" / "tokenizers"
    for folder in tokenizers.glob("*"):
        for draft in filter(_idle, drafts(folder)):
            yield Waste(draft, "left by a process that was killed")
    needed = _needed(output_dir)
    if needed is None:
        return
    cache = output_dir / ".cache"
    for path, name, why in (
        *((folder, folder.name, "a tokenizer of no run") for folder in tokenizers.glob("*")),
        *((folder, folder.name, "a training text of no run") for folder in cache.glob("texts/*")),
        *((folder, _text_of(folder / INDEX, "text"), "ids of a text of no run") for folder in cache.glob("encoded/*")),
        *((file, _text_of(file, "train"), "a record of a text of no run") for file in cache.glob("corpora/*.json")),
    ):
        if name not in needed and _idle(path):
            yield Waste(path, why)


def _text_of(file: Path, key: str) -> str | None:
    """The text that a record names; None if there is no record, as in a folder of ids that are not complete."""
    try:
        return str(json.loads(read_bytes(file))[key])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _needed(output_dir: Path) -> set[str] | None:
    """The names of the tokenizers and texts that runs use; None if this is unknown for a run.

    That is a run that is not over, that trains a single model, or that version 0.1 made.
    """
    needed = set()
    for run_dir in output_dir.iterdir():
        if (run_dir / "config.yaml").exists():
            return None
        if run_dir not in _runs(output_dir) or not has_begun(run_dir):
            continue
        with left_alone(run_dir) as alone:
            if not alone or not (run_dir / "leaderboard.json").exists():
                return None
        try:
            record = read_sealed(run_dir / "inputs.json")
            for entry in record["tokenizers"].values():
                config = TokenizerConfig.model_validate(entry["config"])
                text = record["splits"]["training text"]["sha256"]
                needed.add(text)
                for start in record["starts"]:
                    needed.add(name_tokenizer(config, text, start["sentencepiece"]))
        except (UserError, ValueError, LookupError, TypeError, AttributeError):
            return None
    return needed


def _of_this_machine() -> Iterator[Waste]:
    for folder in abandoned():
        yield Waste(folder, "a temporary folder of a process that was killed")
    for kind, why in (("runs/*", "of a worker that was killed"), ("corpora/*", "a corpus that was brought here")):
        for folder in sorted(user_folder().glob(kind)):
            if _idle(folder) and not any(is_held(Path(place)) for place, _, _ in os.walk(folder)):
                yield Waste(folder, why)
    sessions = Path(tempfile.gettempdir(), "ray").glob("session_2*") if Path("/proc/self").exists() else ()
    for session in sorted(sessions):
        mine = not session.is_symlink() and session.lstat().st_uid == os.getuid()
        if mine and _idle(session) and session.name not in _command_lines():
            yield Waste(session, "files of a Ray that has ended")


def _command_lines() -> str:
    """The command lines of all visible processes on this machine."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return "\n".join(lines)


def _idle(path: Path) -> bool:
    """Whether nothing in it was written for IDLE_SECONDS."""
    newest = max((each.lstat().st_mtime for each in (path, *path.rglob("*"))), default=0.0)
    return time.time() - newest > IDLE_SECONDS


def _freed(file: Path) -> int:
    try:
        facts = file.lstat()
    except OSError:
        return 0
    return facts.st_size if facts.st_nlink == 1 else 0
