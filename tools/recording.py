"""Records what a user types and sees on a fresh clone, in a terminal, as a page of docs/results/."""

import fcntl
import os
import platform
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "results"
COLUMNS, ROWS = 100, 50
LONG = 60.0  # seconds; for a longer step, the output in the middle is shown, too
BETWEEN = 8  # lines of the output in the middle
LONGEST = 45  # lines of an output that are kept: the first and the last
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]")
OF_PIP = re.compile(r"WARNING: Location |.*pip-build-env-")  # what pip says of the places that this machine gives it
UP = re.compile(r"\x1b\[(\d*)A")


@dataclass(frozen=True)
class Step:
    """A command, with {run} for the newest run, and its expected exit status."""

    title: str
    typed: str
    status: int = 0


@dataclass(frozen=True)
class Session:
    """Steps that become a page: its file without .md, its title, what it is, and how it is made again."""

    name: str
    title: str
    about: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Done:
    """The result of a step."""

    step: Step
    typed: str
    seconds: float
    printed: str  # the output, as it remains on the terminal
    between: str  # the last lines half-way through
    status: int


def type_in(step: Step, typed: str, folder: Path) -> Done:
    """Run a line of a shell in a terminal of its own, in the environment of the clone."""
    started = time.monotonic()
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.pop("PYTHONPATH", None)
        environment = {
            **os.environ,
            "PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "XDG_STATE_HOME": str(folder.parent / "state"),  # records which runs are this user's
            "COLUMNS": str(COLUMNS),
        }
        os.execvpe("bash", ["bash", "-c", typed], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    pieces: list[tuple[float, bytes]] = []
    while select.select([terminal], [], []):
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the end of a terminal
            break
        if not piece:
            break
        pieces.append((time.monotonic() - started, piece))
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
    _, status = os.waitpid(process, 0)
    seconds = time.monotonic() - started
    printed, half = (
        as_it_stays(b"".join(piece for at, piece in pieces if at <= until).decode(errors="replace"))
        for until in (seconds, seconds / 2)
    )
    between = "\n".join(_own_lines(half)[-BETWEEN:]) if seconds > LONG else ""
    return Done(step, typed, seconds, printed, between, os.waitstatus_to_exitcode(status))


def as_it_stays(text: str) -> str:
    """The final content of the terminal: of lines that were drawn repeatedly, such as progress, the last state."""
    lines: list[str] = [""]
    place = 0
    for part in re.split(r"(\x1b\[\d*A|\x1b\[2K|\r\n|\n|\r)", text):
        if found := UP.fullmatch(part):
            place = max(0, place - int(found[1] or 1))
        elif part == "\x1b[2K":
            lines[place] = ""
        elif part in ("\r\n", "\n"):
            place += 1
            lines += [""] * (place + 1 - len(lines))
        elif part == "\r":
            lines[place] = lines[place] if lines[place].strip() == "" else f"\r{lines[place]}"
        elif plain := CONTROL.sub("", part):
            old = lines[place]
            lines[place] = plain if old.startswith("\r") else old + plain
    return "\n".join(line.lstrip("\r").rstrip() for line in lines).strip("\n")


def make_corpus(folder: Path) -> None:
    """Write the embedded corpus into files with the usual names, like a user's own corpus."""
    program = (
        "from pathlib import Path\n"
        "from trainables.data.reading.phrasebook import phrasebook\n"
        "folder = Path('corpus'); folder.mkdir()\n"
        "for split in ('train', 'valid', 'test'):\n"
        "    pairs = phrasebook()[split][:4000 if split == 'train' else 300]\n"
        "    for place, language in enumerate(('en', 'fr')):\n"
        "        text = ''.join(f'{pair[place]}\\n' for pair in pairs)\n"
        "        (folder / f'{split}.{language}').write_text(text, encoding='utf-8')\n"
    )
    subprocess.run([str(folder / ".venv" / "bin" / "python"), "-c", program], cwd=folder, check=True)


def newest_run(folder: Path) -> str:
    """The newest run."""
    runs = [file.parent for file in (folder / "runs").glob("*/experiment.yaml")]
    return str(max(runs, key=lambda run: run.stat().st_mtime).relative_to(folder)) if runs else "runs/NAME"


def page(session: Session, done: list[Done], folder: Path, commit: str) -> str:
    """The page, in Markdown."""
    total = sum(each.seconds for each in done)
    rows = "".join(
        f"| {each.step.title} | `{each.typed.replace('|', chr(92) + '|')}` | {_clock(each.seconds)} |\n"
        for each in done
    )
    parts = [
        f"# {session.title}\n\n{session.about}, typed on a fresh clone by `make {session.name}`; in a terminal of "
        f"{COLUMNS} columns, of which the last state is shown.\n\n"
        f"{time.strftime('%Y-%m-%d')}, commit {commit}, {os.cpu_count()} cores, load {os.getloadavg()[2]:.1f} over the "
        f"last quarter of an hour, {platform.system()}, Python {platform.python_version()}; {_clock(total)} in all.\n\n"
        f"| what | typed | time |\n|---|---|---|\n{rows}"
    ]
    for each in done:
        parts.append(f"## {each.step.title}\n\n```\n$ {each.typed}\n{_shortened(each.printed)}\n```\n")
        if each.between:
            parts.append(f"In the middle of that time, the last lines were:\n\n```\n{each.between}\n```\n")
    return "\n".join(parts).replace(str(folder), "…").replace(str(folder.parent), "…")


def _own_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not OF_PIP.match(line)]


def _shortened(text: str) -> str:
    lines = _own_lines(text)
    if len(lines) <= LONGEST:
        return "\n".join(lines)
    left_out = len(lines) - LONGEST
    return "\n".join([*lines[: LONGEST // 2], f"[… {left_out} lines]", *lines[-(LONGEST - LONGEST // 2) :]])


def _clock(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def record(session: Session, repository: str) -> None:
    """Clone the repository, type the steps in their order, and write the page. Exits if a step ends otherwise."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "babeltune"
        cloned = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", repository, str(folder)], check=True)
        took = time.monotonic() - cloned
        commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=folder, text=True).strip()
        done = [Done(Step("Clone", "git clone"), "git clone REPOSITORY babeltune && cd babeltune", took, "", "", 0)]
        for step in session.steps:
            if "corpus" in step.typed and not (folder / "corpus").exists():
                make_corpus(folder)
            typed = step.typed.format(run=newest_run(folder))
            print(f"\n$ {typed}", flush=True)
            done.append(type_in(step, typed, folder))
            if done[-1].status != step.status:
                sys.exit(f"{typed}: ended with status {done[-1].status}, not {step.status}")
        PAGES.mkdir(exist_ok=True)
        (PAGES / f"{session.name}.md").write_text(page(session, done, folder, commit), encoding="utf-8")
