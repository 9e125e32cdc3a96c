"""Whatever becomes of a file of a run: it is refused, healed or without effect, and never another result in silence."""

import json
import os
import shutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_run import write_config

from search.record.journal import Journal, JournalLine
from search.run import main

ALL = bool(os.environ.get("FAULTS_ALL"))  # `make test-faults` damages every file in every way
SMALL = {
    "training": {"epochs": 2, "batch_tokens": 256, "warmup_steps": 20},
    "search": {"trials": 3, "scheduler": {"rungs": [1], "reduction_factor": 2}, "concurrency": 1},
    "finals": {"top": 2, "seeds": 1, "beam_size": 1, "min_distance": 0},
}
WAYS = ("removed", "emptied", "cut", "flipped", "exchanged")
SOME = [  # in every run of the tests
    ("finished", "study.db", "flipped"),
    ("finished", "trials.jsonl", "exchanged"),
    ("finished", "finalists.json", "removed"),
    ("finished", "inputs.json", "flipped"),
    ("finished", "finals/0/epoch-2/state.pt", "flipped"),
    ("finished", "finals/0/test.json", "exchanged"),
    ("half", "experiment.yaml", "exchanged"),
    ("half", "trials.jsonl", "cut"),
    ("half", "study.db", "emptied"),
]


@dataclass(frozen=True)
class Runs:
    """Output directories with a run "tiny": finished, half way, and finished with other seeds; what the first found."""

    folders: dict[str, Path]
    expected: dict[str, Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("damage")
    config, other = write_config(folder, **SMALL), folder / "other.yaml"
    other.write_text(config.read_text() + "seed: 7\n")
    folders = {name: folder / name for name in ("finished", "half", "other")}
    with pytest.MonkeyPatch.context() as patch:
        append = Journal.append

        def append_and_copy(journal: Journal, line: JournalLine) -> JournalLine:
            written = append(journal, line)
            if journal.file.name == "trials.jsonl" and len(journal.lines) == 2:  # what a kill at this moment leaves
                shutil.copytree(folders["finished"], folders["half"])
            return written

        patch.setattr(Journal, "append", append_and_copy)
        assert main(["--config", str(config), "--name", "tiny", "--output_dir", str(folders["finished"])]) == 0
    assert main(["--config", str(other), "--name", "tiny", "--output_dir", str(folders["other"])]) == 0
    finished = outcome(folders["finished"] / "tiny")  # one trial at a time, so the other half comes to the same
    return Runs(folders, finished)


def outcome(run_dir: Path) -> dict[str, Any]:
    board = json.loads((run_dir / "leaderboard.json").read_text())
    same = ("rank", "trial", "config", "test_bleu", "valid_bleu", "valid_nll_per_char", "test_bleu_ci")
    return {
        "ranking": [{key: line[key] for key in same} for line in board["ranking"]],
        "best": (run_dir / "best" / "model.safetensors").read_bytes(),
        "translations": (run_dir / "best" / "translations.txt").read_text(),
    }


def damage(file: Path, way: str, other: Path) -> None:
    content = file.read_bytes()
    if way == "removed":
        file.unlink()
    elif way == "emptied":
        file.write_bytes(b"")
    elif way == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif way == "flipped":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        file.write_bytes(other.read_bytes() if other.exists() else b"what others wrote\n")


def files_of(folder: Path) -> Iterator[str]:
    """The files of the run, and of the cache beside it as .cache/…; without locks."""
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.is_file() and file.stat().st_size and not {"locks", "lock"} & set(Path(name).parts):
            yield name.removeprefix("tiny/")


def wrong(runs: Runs, state: str, name: str, way: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str | None:
    """What goes wrong after the damage; None if nothing does."""
    shutil.copytree(runs.folders[state], folder)
    place = Path(name) if name.startswith(".cache") else Path("tiny") / name
    damage(folder / place, way, runs.folders["other"] / place)
    capsys.readouterr()
    try:
        status = main(["resume", str(folder / "tiny")])
    except Exception:  # which a user would see as a traceback
        return traceback.format_exc()[-600:]
    said = capsys.readouterr()
    if status == 2 and said.err.strip() and "Traceback" not in said.out + said.err:
        return None
    if status != 0:
        return f"status {status}: {said.err[-300:]}"
    return None if outcome(folder / "tiny") == runs.expected else "another result, in silence"


@pytest.mark.parametrize(("state", "name", "way"), SOME)
def test_damage_is_refused_healed_or_harmless(
    state: str, name: str, way: str, runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrong(runs, state, name, way, tmp_path / "run", capsys) is None


def test_a_best_model_that_is_damaged_translates_nothing(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, file in enumerate(sorted((runs.folders["finished"] / "tiny" / "best").iterdir())):
        for way in WAYS:
            folder = tmp_path / f"{number}-{way}"
            shutil.copytree(runs.folders["finished"] / "tiny", folder)
            damage(folder / "best" / file.name, way, runs.folders["other"] / "tiny" / "best" / file.name)
            if (folder / "best" / file.name).exists() and (
                folder / "best" / file.name
            ).read_bytes() == file.read_bytes():
                continue
            assert main(["translate", str(folder)]) == 2, (file.name, way)
            assert f"{folder / 'best'}/" in capsys.readouterr().err


@pytest.mark.skipif(not ALL, reason="every file in every way: make test-faults")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", ["finished", "half"])
def test_every_file(state: str, way: str, runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for number, name in enumerate(files_of(runs.folders[state])):
        folder = tmp_path / str(number)
        if problem := wrong(runs, state, name, way, folder, capsys):
            found[name] = problem
        shutil.rmtree(folder)
    assert not found, "\n".join(f"{name}: {problem}" for name, problem in found.items())
