"""Files: paths that users name, what is read and refused, and what a write leaves behind, also where it fails."""

import errno
import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.base import files
from trainables.base.errors import UserError


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is synced, in this order."""
    found: list[Path] = []
    monkeypatch.setattr(files, "sync", found.append)
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_path_is_absolute_and_a_tilde_is_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = {"a/b": "here/a/b", "~/a": "home/a", "./~/a": "here/~/a", str(tmp_path / "a"): "a", "": "here"}
    for name, path in expected.items():
        assert files.full_path(name) == files.named_path("--option", name) == tmp_path / path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\0b", r"'a\x00b': a path can't hold a zero byte"),
        ("~nosuchuser/a", "~nosuchuser/a: there is no user nosuchuser; write ./~nosuchuser/a for a file"),
    ],
)
def test_a_name_that_is_no_path_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        files.full_path(name)
    with pytest.raises(UserError, match=f"^{re.escape(f'--option: {message}')}$"):
        files.named_path("--option", name)


def test_the_path_that_the_refusal_of_a_home_names_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.full_path("./~nosuchuser/a") == tmp_path / "~nosuchuser" / "a"


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    file, content = tmp_path / "file", "é".encode() * 700
    file.write_bytes(content)
    for most in (None, 1400, 1401):
        assert files.read_bytes(file, most) == content and files.read_text(file, most) == "é" * 700
    for most, words in ((1399, "has 1,400 bytes; at most 1,399 are allowed"), (0, "at most 0 are allowed")):
        for read in (files.read_bytes, files.read_text):
            with pytest.raises(OSError, match=words):
                read(file, most)
    assert files.digest_of(file) == hashlib.sha256(content).hexdigest()
    file.write_bytes(content[:-1])
    with pytest.raises(UnicodeDecodeError):
        files.read_text(file)


@pytest.mark.parametrize("read", [files.read_bytes, files.read_text, files.digest_of])
def test_what_is_no_regular_file_is_not_read(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, words in (
        (tmp_path, "is a folder"),
        (Path("/dev/null"), "not a regular"),
        (tmp_path / "fifo", "is not"),
    ):
        with pytest.raises(OSError, match=words):
            read(path)


def test_json_is_parsed_unless_it_is_nested_without_end() -> None:
    assert files.parse_json('{"a": [1, null]}') == files.parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    for text in ("[" * 100_000, "{", ""):
        with pytest.raises(ValueError, match="nested too deeply" if len(text) > 1 else "Expecting"):
            files.parse_json(text)


@pytest.mark.parametrize("create", [files.create_folder, files.make_folder])
def test_of_a_new_folder_the_parents_that_changed_are_synced(
    create: Callable[[Path], None], tmp_path: Path, synced: list[Path]
) -> None:
    create(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}
    synced.clear()
    create(tmp_path / "a" / "b" / "c")
    assert synced == []


def test_a_folder_that_can_not_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="/file/a: can't be created: Not a directory; choose another output_dir"):
        files.make_folder(tmp_path / "file" / "a")


@pytest.mark.parametrize("number", [None, errno.EINVAL, errno.EIO])
def test_a_sync_that_fails_is_told_unless_the_file_system_has_none(
    number: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def fsync(descriptor: int) -> None:
        asked.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        if number:
            raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fsync)
    opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    if number == errno.EIO:
        with pytest.raises(OSError, match="no"):
            files.sync(tmp_path)
    else:
        files.sync(tmp_path)
    assert asked == [tmp_path] and len(os.listdir("/proc/self/fd")) == opened  # noqa: PTH208


def test_of_a_tree_all_files_and_folders_are_synced_and_nothing_outside(tmp_path: Path, synced: list[Path]) -> None:
    for name in ("tree/a/b", "outside"):
        (tmp_path / name).mkdir(parents=True)
    tree, file = tmp_path / "tree", tmp_path / "tree" / "a" / "file"
    file.write_text("")
    os.mkfifo(tree / "fifo")  # which would wait for a writer
    (tree / "to_folder").symlink_to(tmp_path / "outside")
    (tree / "to_file").symlink_to(file)
    (tree / "to_nothing").symlink_to("nothing")
    files.sync_tree(tree)
    assert sorted(synced) == sorted([tree, tree / "a", tree / "a" / "b", file])


def something(kind: str, path: Path) -> None:
    """Make something of that kind at the path; links lead to `path.parent / "kept"`."""
    (path.parent / "kept").mkdir()
    (path.parent / "kept" / "file").write_text("kept")
    match kind:
        case "file":
            path.write_text("old")
        case "folder":
            (path / "deep").mkdir(parents=True)
            (path / "deep" / "file").write_text("old")
        case "link to a folder":
            path.symlink_to(path.parent / "kept")
        case "link to a file":
            path.symlink_to(path.parent / "kept" / "file")
        case "link to nothing":
            path.symlink_to("nowhere")


KINDS = ["nothing", "file", "folder", "link to a folder", "link to a file", "link to nothing"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_removed_is_gone_and_nothing_else(kind: str, tmp_path: Path) -> None:
    something(kind, tmp_path / "path")
    files.remove(tmp_path / "path")
    assert names(tmp_path) == ["kept"] and (tmp_path / "kept" / "file").read_text() == "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_takes_the_place_of_what_had_its_name(kind: str, tmp_path: Path) -> None:
    something(kind, tmp_path / "final")
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / "new").write_text("new")
    files.publish_folder(tmp_path / "draft", tmp_path / "final")
    assert names(tmp_path) == ["final", "kept"] and names(tmp_path / "final") == ["new"]
    assert (tmp_path / "kept" / "file").read_text() == "kept"


def test_why_a_run_can_not_be_written_is_one_line_of_some_length() -> None:
    message = str(files.unwritable(Path("runs/study.db"), OSError("disk\n  I/O   error " + "x" * 999)))
    reason = "disk I/O error " + "x" * 185
    assert message == (
        f"runs/study.db: can't be written: {reason}; nothing is lost: fix it (is the disk full?), then resume"
    )


def test_a_line_is_appended_as_it_is_after_what_is_whole(tmp_path: Path, synced: list[Path]) -> None:
    file = tmp_path / "lines"
    files.append_line(file, {"a": "é"})
    assert file.read_text(encoding="utf-8") == '{"a": "é"}\n' and synced == [tmp_path]
    for torn in ("", '{"b', "x" * 99):
        file.write_text(f'{{"a": 1}}\n{torn}')
        files.append_line(file, {"b": 2})
        assert file.read_text() == '{"a": 1}\n{"b": 2}\n'
    file.write_text("torn")
    files.append_line(file, {"b": 2})
    assert file.read_text() == '{"b": 2}\n'


def test_a_line_waits_for_that_of_another_process(tmp_path: Path) -> None:
    """It would be taken for a torn one, and cut off."""
    file = tmp_path / "lines"
    with file.open("ab", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b'{"a"')
        thread = threading.Thread(target=files.append_line, args=(file, {"b": 2}))
        thread.start()
        thread.join(0.2)
        waits = thread.is_alive()
        other.write(b": 1}\n")
    thread.join()
    assert waits and file.read_text() == '{"a": 1}\n{"b": 2}\n'


def test_a_file_is_replaced_by_text_or_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content, stored in (("é\n", "é\n".encode()), (b"\xff\0", b"\xff\0"), ("", b"")):
        files.write_atomically(file, content)
        assert file.read_bytes() == stored and names(tmp_path) == ["file"]


def test_a_write_that_fails_leaves_nothing_but_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"can't be written: No such file or directory: '.*/missing/file'") as raised:
        files.write_atomically(tmp_path / "missing" / "file", "new")
    assert raised.value.errno == errno.ENOENT
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"can't be written: Is a directory: '.*/folder'"):
        files.write_atomically(tmp_path / "folder", "new")
    assert names(tmp_path) == ["folder"]
    (tmp_path / "file").write_text("old")

    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"can't be written: No space left on device: '.*/file'") as raised:
        files.write_atomically(tmp_path / "file", "new")
    assert raised.value.errno == errno.ENOSPC
    assert names(tmp_path) == ["file", "folder"] and (tmp_path / "file").read_text() == "old"


def test_a_write_that_was_cut_short_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    for name in (".file", ".12", "file.12", ".file.12a", ".file.a12", ".file.12.json"):
        (tmp_path / name).write_text("")
    (tmp_path / ".folder.12").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        for file in ("study.db", "plain"):
            with pytest.raises(Killed):
                files.write_atomically(tmp_path / file, "new")
    expected = [tmp_path / f".{file}.{os.getpid()}" for file in ("plain", "study.db")]
    assert sorted(files.drafts(tmp_path)) == expected
