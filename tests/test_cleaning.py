"""`babeltune clean` removes what nobody needs, after asking, and nothing else."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from test_compatibility import OLD

import search.commands.clean
from search.run import main
from trainables.base.errors import UserError
from trainables.base.locks import DriverLock, join_driver, left_alone
from trainables.base.sealing import write_sealed
from trainables.base.translation_config import TokenizerConfig
from trainables.data.encoding.tokenizer import name_tokenizer

LONG_AGO = time.time() - 5 * search.commands.clean.IDLE_SECONDS


def write(file: Path, content: str = "x" * 1000, young: bool = False) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    if not young:
        for path in (file, file.parent):
            os.utime(path, (LONG_AGO, LONG_AGO))
    return file


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output directory with a finished run "done" and a young one "dead"; a temporary folder of its own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    run_dir = tmp_path / "runs" / "done"
    shutil.copytree(OLD, run_dir)
    (run_dir / "report.html").write_text("<html>")
    starts = [{"sentencepiece": "0.2.0"}]
    tokenizers = {"a": {"config": TokenizerConfig().model_dump(), "pieces": "p"}}
    splits = {"training text": {"pairs": 1, "sha256": "text"}}
    write_sealed(run_dir / "inputs.json", {"splits": splits, "tokenizers": tokenizers, "starts": starts})
    write(tmp_path / "runs" / "dead" / "inputs.json")
    return tmp_path / "runs"


NEEDED = (
    *("done/finals/0/epoch-4/state.pt", "done/trials/3/epoch-2/state.pt", "done/best/model.safetensors"),
    *("done/earlier/1/best/model.safetensors", "done/earlier/2/trials/0/epoch-2/state.pt", "notes/inputs.txt"),
    *("done/earlier/1/finalists.json", "done/finals/9/epoch-4/state.pt", ".cache/tokenizers/young/lock"),
    *(".cache/texts/text/source", ".cache/texts/young/source", ".cache/encoded/young/part-00000"),
)
WASTE = (
    *("done/finals/1/epoch-4/state.pt", "done/trials/.tune-1/x", "done/.inputs.json.77", "dead/inputs.json"),
    *("done/earlier/1/finals/0/epoch-4/state.pt", "done/earlier/1/trials/0/epoch-2/state.pt"),
    *(".cache/tokenizers/unknown/tokenizer.model", "../tmp/ray/session_2020-01-01_9/logs/x"),
    *(".cache/texts/unknown/source", ".cache/encoded/torn/part-00000", ".cache/encoded/unknown/index.json"),
    f"../tmp/babeltune-{os.getuid()}/t-dead/x",
)


def litter(runs: Path) -> tuple[list[Path], list[Path]]:
    known = name_tokenizer(TokenizerConfig(), "text", "0.2.0")
    needed = [write(runs / name, young="young" in name) for name in NEEDED if not (runs / name).exists()]
    needed += [write(runs / ".cache" / "tokenizers" / known / "tokenizer.model")]
    ids = runs / ".cache" / "encoded" / "known" / "index.json"
    needed += [write(ids, '{"text": "text"}'), write(runs / ".cache" / "corpora" / "known.json", '{"train": "text"}')]
    waste = [write(runs / name) for name in WASTE if not (runs / name).exists()] + [runs / "dead" / "inputs.json"]
    waste += [write(runs / ".cache" / "corpora" / "unknown.json", '{"train": "unknown"}')]
    write(runs / "done" / "earlier" / "1" / "taken.json", "{}")
    write(runs / "done" / "finals" / "1" / "test.json", "{}")
    for folder in (
        "../tmp/ray/session_2020-01-01_9",
        *(f".cache/{name}" for name in ("tokenizers/unknown", "texts/unknown", "encoded/torn", "encoded/unknown")),
        "../tmp/ray/session_2020-01-01_9/logs",
    ):
        os.utime(runs / folder, (LONG_AGO, LONG_AGO))
    return needed, waste


def test_what_nobody_needs_is_listed_and_removed_once_agreed_to(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needed, waste = litter(runs)
    assert main(["clean", "--output_dir", str(runs)]) == 0
    listed = capsys.readouterr().out
    assert "nothing is removed; --yes" in listed and "1.0 kB" in listed
    assert all(file.exists() for file in needed + waste), "without a terminal it only lists"
    assert main(["clean", "--output_dir", str(runs), "--yes"]) == 0
    assert [file for file in waste if file.exists()] == []
    assert [file for file in needed if not file.exists()] == []
    capsys.readouterr()
    assert main(["clean", "--output_dir", str(runs), "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out
    board = json.loads((runs / "done" / "leaderboard.json").read_text())
    assert board["ranking"][0]["final_trials"] == [0], "whose checkpoint stays"


@pytest.mark.parametrize(("answer", "gone"), [("y", True), ("n", False), ("", False)])
def test_at_a_terminal_it_asks(
    answer: str, gone: bool, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda *_: answer)
    assert main(["clean", "--output_dir", str(runs)]) == 0
    assert "Remove 1 entry" in capsys.readouterr().out
    assert (runs / "dead").exists() is not gone


@pytest.mark.parametrize("who", ["driver", "worker"])
def test_a_run_that_somebody_works_on_is_left_alone(who: str, runs: Path) -> None:
    needed, waste = litter(runs)
    lock = DriverLock(runs / "done")
    if who == "worker":
        join_driver(lock.workers)
        lock.release()
    assert main(["clean", "--output_dir", str(runs), "--yes"]) == 0
    in_run = [file for file in waste if "done" in file.parts]
    assert all(file.exists() for file in in_run + needed)
    assert not (runs / "dead").exists()
    assert (runs / ".cache" / "tokenizers" / "unknown").exists(), "it may be of the trial that is trained"
    with left_alone(runs / "done") as alone:
        assert not alone
    if who == "driver":
        lock.release()
        with left_alone(runs / "done") as alone:
            assert alone
            with pytest.raises(UserError, match="another process"):  # no driver begins meanwhile
                DriverLock(runs / "done")


def test_a_folder_without_runs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", "--output_dir", str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err
