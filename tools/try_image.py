"""Follows the Dockerfile without Docker: its pip steps in an empty environment, then a search of two trials.

python tools/try_image.py FOLDER    an empty folder, used as the image's /

It can't test the base image, apt's packages and the user. The search starts in a folder with files named like our
packages, which must not hide them.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
OURS = ("model", "search", "trainables")
SEARCH = ["--config", "quickstart", "--name", "tried", "--search.trials", "2", "--finals.top", "1"]
SMALL = ["--training.epochs", "1", "--search.scheduler", "none", "--data.limit", "400", "--tokenizer.vocab_size", "600"]


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The keyword and the rest of each instruction, with continued lines joined and without comments."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined]


class Image:
    """A folder in which instructions are run."""

    def __init__(self, root: Path):
        self.root, self.workdir = root, root
        self.kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().split() if line.startswith("!")}
        self.bin = root / "venv" / "bin"
        venv.create(root / "venv", with_pip=True)

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/") if path.startswith("/") else self.workdir / path

    def copy(self, words: list[str]) -> None:
        """Copy files. Raises ValueError for files that .dockerignore excludes, and OSError for missing ones."""
        built = "--from=build" in words
        *sources, target = [word for word in words if not word.startswith("--")]
        for source in sources:
            if not built and source not in self.kept:
                raise ValueError(f"COPY {source}: .dockerignore excludes it")
            path, place = self.inside(source) if built else REPOSITORY / source, self.inside(target)
            if path.is_dir():
                shutil.copytree(path, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)

    def run(self, line: str) -> None:
        """Run pip's commands; only check that other commands exist. Raises ValueError."""
        for command in line.split(" && "):
            if not shutil.which(shlex.split(command)[0]):
                raise ValueError(f"RUN {command}: there is no such command")
            if command.lstrip().startswith("pip "):
                command = command.replace("/opt/", f"{self.root}/opt/")
                subprocess.run(command, shell=True, check=True, cwd=self.workdir, env=self.environment())

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}


def main() -> None:
    image = Image(Path(sys.argv[1]).absolute())
    for keyword, rest in instructions((REPOSITORY / "Dockerfile").read_text()):
        print(f"{keyword} {rest}", flush=True)
        match keyword:
            case "FROM":
                image.workdir = image.root
            case "WORKDIR":
                image.workdir = image.inside(rest)
                image.workdir.mkdir(parents=True, exist_ok=True)
            case "COPY":
                image.copy(rest.split())
            case "RUN":
                image.run(rest)
            case "CMD":
                subprocess.run(json.loads(rest), check=True, env=image.environment(), stdout=subprocess.DEVNULL)
    for name in OURS:
        (image.workdir / f"{name}.py").write_text("raise ImportError('a file of the user stands in the way')\n")
    command = [str(image.bin / "babeltune"), *SEARCH, *SMALL]
    subprocess.run(command, check=True, cwd=image.workdir, env=image.environment())
    report = image.workdir / "runs" / "tried" / "report.html"
    if not report.is_file():
        sys.exit(f"{report} is missing")
    print(f"the installed program searched: {report}")


if __name__ == "__main__":
    main()
