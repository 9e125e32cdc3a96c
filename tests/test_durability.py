"""After a loss of power what had returned is there and all is whole, on a disk that loses what was not synced."""

import hashlib
import json
import os
import resource
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lossy_files import Loss, losses_of_power
from reports import line_of

from search.record.journal import Journal, read_lines
from search.record.study_file import open_study
from search.run_directory.checking import check_frozen
from search.run_directory.earlier import FINALS, Earlier
from trainables.base.checkpoint_files import copy_checkpoint, newest_checkpoint
from trainables.base.errors import UserError
from trainables.base.files import append_line, make_folder, publish_folder, write_atomically
from trainables.base.sealing import Damaged, read_sealed, sealed, unsealed, write_sealed
from trainables.data.encoding.tokenizer import keep_model
from trainables.sharing.object_store import Store
from trainables.training.checkpoint import load_state, save_checkpoint

Operations = Sequence[Callable[[], object]]
Case = tuple[Operations, Callable[[Path], object], list[object]]  # what to do, how it is read, what is read after each


def line(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "text": "é" * 50}


def save(folder: Path, epoch: int) -> None:
    save_checkpoint(folder, "epoch", epoch, {"model": torch.full((100,), float(epoch))}, {"epoch": epoch})


def epoch_read(folder: Path) -> object:
    """What the newest whole checkpoint holds, from its report and its weights."""
    found = newest_checkpoint(folder)
    if found is None:
        return None
    weights = load_state(found[0], torch.device("cpu"))["model"]
    assert weights.tolist() == [found[1]["epoch"]] * 100
    return found[1]["epoch"]


def text_read(path: Path) -> object:
    return path.read_text(encoding="utf-8") if path.exists() else None


def atomic(disk: Path) -> Case:
    texts = ["one" * 100, "two" * 300, "3"]
    operations = [partial(write_atomically, disk / "file", text) for text in texts]
    return operations, lambda found: text_read(found / "file"), [None, *texts]


def sealed_record(disk: Path) -> Case:
    records = [{"number": number, "text": "é" * 100} for number in range(3)]
    write_sealed(disk / "record.json", records[0])
    operations = [partial(write_sealed, disk / "record.json", record) for record in records[1:]]
    return operations, lambda found: read_sealed(found / "record.json"), [*records]


def appended(disk: Path) -> Case:
    def whole(file: Path) -> list[dict[str, Any]]:
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
        return [unsealed(json.loads(each), "line") for each in lines]

    def read(found: Path) -> object:
        value = whole(found / "lines.jsonl")
        append_line(found / "lines.jsonl", sealed(line(9)))
        assert whole(found / "lines.jsonl") == [*value, line(9)]
        return value

    records = [line(epoch) for epoch in range(3)]
    operations = [partial(append_line, disk / "lines.jsonl", sealed(record)) for record in records]
    return operations, read, [records[:count] for count in range(4)]


def journal(disk: Path) -> Case:
    opened: list[Journal] = []

    def append(epoch: int) -> None:
        if not opened:
            opened.append(Journal(disk / "trials.jsonl"))
        opened[0].append(line_of(0, epoch))

    lines = [line_of(0, epoch) for epoch in range(4)]
    return [partial(append, epoch) for epoch in range(4)], journal_read, [lines[:count] for count in range(5)]


def journal_with_a_torn_line(disk: Path) -> Case:
    Journal(disk / "trials.jsonl").append(line_of(0, 0))
    with (disk / "trials.jsonl").open("a") as file:
        file.write('{"trial": 0, "epo')
    case = journal(disk)
    return case[0][1:], journal_read, case[2][1:]


def journal_read(found: Path) -> object:
    value = read_lines(found / "trials.jsonl")
    again = Journal(found / "trials.jsonl")
    again.append(line_of(0, 9))
    again.close()
    assert read_lines(found / "trials.jsonl") == [*value, line_of(0, 9)]
    return value


def checkpoints(disk: Path) -> Case:
    operations = [partial(save, disk / "trials" / "3", epoch) for epoch in (1, 2, 3)]
    return operations, lambda found: epoch_read(found / "trials" / "3"), [None, 1, 2, 3]


def checkpoint_over_a_torn_one(disk: Path) -> Case:
    save(disk / "3", 1)
    save(disk / "3", 2)
    (disk / "3" / "epoch-2" / "state.pt").write_bytes(b"")
    return [partial(save, disk / "3", 2)], lambda found: epoch_read(found / "3"), [1, 2]


def copied_checkpoint(disk: Path) -> Case:
    save(disk / "trials" / "3", 1)
    operation = partial(copy_checkpoint, disk / "trials" / "3", disk / "trials" / "4", 1)
    return [operation], lambda found: epoch_read(found / "trials" / "4"), [None, 1]


def tokenizer(disk: Path) -> Case:
    def read(found: Path) -> object:
        model, known = text_read(found / "tokenizer.model"), text_read(found / "tokenizer.sha256")
        return model if hashlib.sha256(str(model).encode()).hexdigest() == known else None

    return [partial(keep_model, disk / "tokenizer.model", b"pieces" * 100)], read, [None, "pieces" * 100]


def download(disk: Path) -> Case:
    store = Store("memory://durability")
    store.write("run/study.db", b"all trials" * 100)
    operation = partial(store.get, "run/study.db", disk / "a" / "b" / "study.db")
    return [operation], lambda found: text_read(found / "a" / "b" / "study.db"), [None, "all trials" * 100]


def folder(disk: Path) -> Case:
    operation = partial(make_folder, disk / "runs" / "name" / "locks")
    return [operation], lambda found: (found / "runs" / "name" / "locks").is_dir(), [False, True]


def published_folder(disk: Path) -> Case:
    def publish() -> None:
        draft = disk / ".best"
        (draft / "deeper").mkdir(parents=True)
        for name in ("model", "deeper/translations"):
            (draft / name).write_text(name * 100)
        publish_folder(draft, disk / "best")

    def read(found: Path) -> object:
        texts = [text_read(found / "best" / name) for name in ("model", "deeper/translations")]
        return texts if (found / "best").exists() else None

    return [publish], read, [None, ["model" * 100, "deeper/translations" * 100]]


def finals_that_move(disk: Path, results: Sequence[str] = ()) -> Case:
    moving, names = disk / "earlier" / "moving", (*FINALS[:2], "finals/0/test.json", *results)
    moving.mkdir(parents=True)
    write_sealed(moving / "record.json", {"study": False, "finals_spent": {}})
    for name in names:
        (disk / name).parent.mkdir(parents=True, exist_ok=True)
        (disk / name).write_text(name)

    def read(found: Path) -> object:
        Earlier(found).recover()  # ends what was begun
        assert [text_read(found / "earlier" / "1" / name) for name in names] == [*names]
        assert not any((found / name).exists() for name in (*names[1:], "earlier/moving"))
        return text_read(found / FINALS[0])

    finals_that_follow = partial(write_atomically, disk / FINALS[0], "new")
    return [Earlier(disk).recover, finals_that_follow], read, [None, None, "new"]


def results_that_move(disk: Path) -> Case:
    return finals_that_move(disk, ("trials/3/test.json", "trials/12/test_comet.json"))


CASES = [
    atomic,
    sealed_record,
    appended,
    journal,
    journal_with_a_torn_line,
    checkpoints,
    checkpoint_over_a_torn_one,
    copied_checkpoint,
    tokenizer,
    download,
    folder,
    published_folder,
    finals_that_move,
    results_that_move,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_after_a_loss_of_power_what_had_returned_is_there_and_all_is_whole(
    case: Callable[[Path], Case], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    operations, read, states = case(disk)
    assert len(states) == len(operations) + 1
    losses = losses_of_power(disk, operations)
    seen = []
    for number, loss in enumerate(losses):
        value = read(loss.write(tmp_path / f"after-{number}"))
        last = min(loss.returned + 1, len(operations))
        assert value in (states[loss.returned], states[last]), (loss.returned, loss.files)
        seen.append(value)
    assert all(state in seen for state in states)
    assert read(disk) == states[-1]


def test_the_disk_of_these_tests_loses_what_is_not_synced(tmp_path: Path) -> None:
    """Else none of them could fail."""
    (tmp_path / "old").write_bytes(b"old")

    def write() -> None:
        (tmp_path / "new").write_bytes(b"new content")
        with (tmp_path / "old").open("ab") as file:
            file.write(b" and new")
        os.rename(tmp_path / "old", tmp_path / "moved")  # noqa: PTH104
        os.fsync(descriptor)
        (tmp_path / "folder").mkdir()

    descriptor = os.open(tmp_path, os.O_RDONLY)
    losses = losses_of_power(tmp_path, [write])
    os.close(descriptor)

    def found(returned: int) -> list[dict[str, bytes | None]]:
        return [loss.files for loss in losses if loss.returned == returned]

    assert Loss(0, {"old": b"old"}) in losses
    assert {"moved": b"old", "new": b""} in found(1)  # the rename and the new name were synced, no content
    assert {"moved": b"old and", "new": b"new c"} in found(1)
    assert {"moved": b"old" + bytes(8), "new": bytes(11), "folder": None} in found(1)
    assert {"moved": b"old and new", "new": b"new content", "folder": None} in found(1)
    assert all("old" not in files for files in found(1))


def test_an_opening_of_the_test_split_that_never_returned_is_no_damage(tmp_path: Path) -> None:
    file = tmp_path / "test_opened.jsonl"
    append_line(file, sealed({"frozen_at": "today"}))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:20])
    check_frozen(tmp_path, ["today"])
    file.write_bytes(whole + whole[:20] + b"\n")
    with pytest.raises(Damaged, match="line 2 is damaged"):
        check_frozen(tmp_path, ["today"])


@pytest.mark.parametrize("kind", ["append_line", "Journal"])
def test_a_line_of_which_a_full_disk_takes_a_part_is_told_and_cut_off(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"

    def append(epoch: int) -> None:
        if kind == "Journal":
            Journal(file).append(line_of(0, epoch))
        else:
            append_line(file, sealed(line_of(0, epoch).stored()))

    append(1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, before[1]))
    try:
        with pytest.raises((OSError, UserError), match="No space left"):
            append(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    append(3)
    assert read_lines(file) == [line_of(0, 1), line_of(0, 3)]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_a_checkpoint_is_kept_besides_the_newest_in_case_that_is_torn(keep: int, tmp_path: Path) -> None:
    for epoch in range(1, 5):
        save_checkpoint(tmp_path, "epoch", epoch, {"model": torch.zeros(1)}, {"epoch": epoch}, keep)
    assert len(list(tmp_path.iterdir())) == max(2, keep)
    (tmp_path / "epoch-4" / "state.pt").write_bytes(b"torn")
    found = newest_checkpoint(tmp_path)
    assert found and found[1] == {"epoch": 3}


def test_checkpoints_leave_alone_what_is_none_of_theirs(tmp_path: Path) -> None:
    for name in ("parent/.draft", "heir/notes", "heir/epoch-1-old"):
        (tmp_path / name).mkdir(parents=True)
    save(tmp_path / "heir", 1)
    save(tmp_path / "heir", 2)
    save(tmp_path / "parent", 3)
    (tmp_path / "parent" / ".draft").mkdir()  # the parent's worker writes its next
    copy_checkpoint(tmp_path / "parent", tmp_path / "heir", 3)
    save(tmp_path / "heir", 4)
    names = {path.name for path in (tmp_path / "heir").iterdir()}
    assert names == {"notes", "epoch-1-old", "epoch-3", "epoch-4"} and (tmp_path / "parent" / ".draft").is_dir()


def test_each_write_of_the_study_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Always sync, as sqlite does by itself, before `conftest.py` tells it otherwise."""
    statements: list[list[str]] = []

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = open_database(*arguments, **options)
        statements.append([])
        connection.set_trace_callback(statements[-1].append)
        return connection

    open_database = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    open_study(tmp_path / "study.db", "search", "maximize", "new")
    assert len(statements) >= 2
    for each in statements:
        assert each[0] == "PRAGMA synchronous=FULL"
    assert any("PRAGMA journal_mode=WAL" in each for each in statements)
