"""Every documented command with hostile arguments, files and environments ends in a sentence.

Never in a traceback, never in a hang. Nothing here trains: a search ends where Ray would start.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from boards import TEST_BLEU
from corpora import write_digits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports import line_of
from rich.console import Console
from test_compatibility import OLD
from test_run import COMMAND, ROOT, write_config

import trainables.__main__
from search.commands import COMMANDS
from search.driver.ranking_table import ranking_table
from search.finals.board import read_leaderboard
from search.record.journal import Journal
from search.record.study import Study
from search.run import main
from search.settings.experiment import experiment_class
from search.settings.stored import stored_experiment
from search.space.space import Params
from search.translation.best import DIGESTS
from search.translation.problem import TRANSLATION
from trainables.base.command_line import make_parser
from trainables.base.ending import exit_status, lasting_output
from trainables.base.errors import UserError
from trainables.base.files import digest_of
from trainables.base.sealing import write_sealed

ALL = bool(os.environ.get("FAULTS_ALL"))  # `make test-faults`: all files in all ways, more arguments
SECONDS = 60  # that a case may take on a busy machine; most take some milliseconds


class Hangs(BaseException):
    """A case that does not end."""


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: bytes
    err: str


def call(arguments: list[str], stdin: bytes = b"", run: Callable[[list[str]], int] = main) -> Ended:
    """Run a command in this process, with streams of its own."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.TextIOWrapper(io.BytesIO(), write_through=True)
    before, handler = (sys.stdin, sys.stdout, sys.stderr), signal.getsignal(signal.SIGALRM)

    def give_up(*_: object) -> None:
        raise Hangs(arguments)

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(stdin)), out, err
    try:
        status = run(arguments)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        sys.stdin, sys.stdout, sys.stderr = before
    return Ended(status, out.buffer.getvalue(), err.buffer.getvalue().decode(errors="replace"))


def check(ended: Ended) -> Ended:
    assert ended.status in (0, 1, 2), ended
    assert "Traceback" not in ended.err and "unexpected error" not in ended.err and b"Traceback" not in ended.out, (
        ended.err
    )
    assert ended.status == 0 or ended.err.strip(), "it ends without a word"
    return ended


def train_one(arguments: list[str]) -> int:
    """As `python -m trainables`."""
    return exit_status(lambda: trainables.__main__.main(arguments), lambda text: print(text, file=sys.stderr))


def refuse(*_: object, **__: object) -> Any:
    raise UserError("it would begin now")


@contextmanager
def no_ray(*_: object, **__: object) -> Iterator[None]:
    refuse()
    yield


@pytest.fixture(autouse=True)
def nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """No search trains, nothing is sent, no machine is measured for long."""
    monkeypatch.setattr("search.driver.search_run.running_ray", no_ray)
    monkeypatch.setattr("search.tracking.mirror.Mirror.publish", refuse)
    monkeypatch.setattr("search.commands.doctor.SECONDS", 0.01)
    monkeypatch.setattr("trainables.single_run.train", refuse)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny.yaml, its corpus, and runs/half: a run with a trial, and a model in best/."""
    folder = tmp_path_factory.mktemp("hostile")
    config, run_dir = write_config(folder), folder / "runs" / "half"
    patch = pytest.MonkeyPatch()
    patch.setattr("search.driver.search_run.running_ray", no_ray)
    assert "it would begin" in call(["--config", str(config), "--name", "half"]).err
    patch.undo()
    experiment = stored_experiment(run_dir)
    study, journal = Study(run_dir / "study.db", "search", "maximize"), Journal(run_dir / "trials.jsonl")
    params: Params = {"model.d_model": 16, "model.dropout": 0.0, "training.learning_rate": 0.01}
    trial = study.add(params, experiment.space.to_optuna())
    journal.append(line_of(0, step=5, valid_bleu=1.0, valid_nll_per_char=2.0))
    study.report(trial, 1, 1.0, 2.0)
    journal.close()
    study.close()
    shutil.copytree(OLD / "best", run_dir / "best")
    write_sealed(run_dir / "best" / DIGESTS, {file.name: digest_of(file) for file in (run_dir / "best").iterdir()})
    return folder


@pytest.fixture
def here(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, beside the run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


PATHS = {
    "empty": "",
    "a space": " ",
    "no such user": "~nosuchuser/x",
    "another home": "~nobody/x",
    "zero byte": "a\0b",
    "line break": "a\nb",
    "half a character": "\udcff",
    "long": "x" * 300,
    "deep": "a/" * 3000,
    "device": "/dev/full",
    "below a file": "file/x",
    "a file": "file",
    "dangling": "dangling",
    "loop": "loop",
    "fifo": "fifo",
    "markup": "[red]{x}%s[/red]",
    "no address": "://",
    "option": "--",
}
TAKERS: dict[str, Callable[[Path, str], list[str]]] = {
    "resume": lambda place, path: ["resume", path],
    "publish": lambda place, path: ["publish", path],
    "fetch": lambda place, path: ["fetch", path],
    "fetch by file": lambda place, path: ["fetch", f"file://{path}"],
    "translate": lambda place, path: ["translate", path],
    "translate to": lambda place, path: ["translate", str(place / "runs" / "half"), "--output", path],
    "replay": lambda place, path: ["replay", "--tables", path, "--pair", "a-b"],
    "completion": lambda place, path: ["completion", path],
    "clean": lambda place, path: ["clean", "--output_dir", path],
    "unknown": lambda place, path: [path],
    "config": lambda place, path: ["--config", path, "--print_config"],
    "data": lambda place, path: ["--config", str(place / "tiny.yaml"), "--name", "new", "--data.path", path],
    "prior": lambda place, path: [
        "--config",
        str(place / "tiny.yaml"),
        "--name",
        "new",
        "--search.sampler.prior",
        path,
    ],
    "name": lambda place, path: ["--config", str(place / "tiny.yaml"), "--print_config", "--name", path],
    "storage": lambda place, path: ["--config", str(place / "tiny.yaml"), "--print_config", "--storage", path],
}


@pytest.mark.parametrize("path", PATHS)
def test_paths(path: str, place: Path, here: Path) -> None:
    for name, arguments in TAKERS.items():
        ended = check(call(arguments(place, PATHS[path])))
        assert ended.status == 2 or name in ("config", "name", "storage", "prior", "data", "clean", "translate to"), (
            name
        )
    tiny = ["--config", str(place / "tiny.yaml"), "--name", "new", "--output_dir", PATHS[path]]
    assert check(call(tiny)).status == 2
    assert check(call(["--output_dir", PATHS[path], "--data.path", "nowhere"], run=train_one)).status == 2
    if path in ("zero byte", "no such user", "long"):
        check(call(["doctor", "--output_dir", PATHS[path]]))


DEEP = 5000
ALIASES = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
CONFIGS: dict[str, bytes] = {
    "aliases without end": ALIASES.encode(),
    "itself": b"model: &a {x: *a}",
    "binary": bytes(range(256)),
    "zero byte": b"seed: \0",
    "large": b"seed: 1 # \n" * 200_000,
    "deep list": b"[" * DEEP,
    "deep mapping": b"{a: " * DEEP,
    "code": b"!!python/object/apply:os.system [ls]",
    "date": b"seed: 2020-01-01",
    "not a number": b"training: {learning_rate: .nan}",
    "infinite": b"training: {epochs: .inf}",
    "many digits": b"seed: " + b"9" * DEEP,
    "list": b"- 1",
    "text": b"x",
    "documents": b"seed: 1\n---\nseed: 2",
    "keys": b"1: 2\nnull: 3\ntrue: 4",
    "jinja": b"training: {learning_rate: {{ lr }}}",
    "merge": b"<<: 3",
    "UTF-16": "seed: 1".encode("utf-16"),
    "tab": b"\tseed: 1",
    "set": b"space: !!set {a, b}",
    "half a character": b'data: {path: "\\ud800"}',
    "no space": b"space: 3",
    "empty domain": b"space: {model.d_model: {values: []}}",
    "endless domain": b"space: {model.d_model: {min: .nan, max: .inf}}",
    "log of nothing": b"space: {training.learning_rate: {min: -1, max: 1, distribution: log_uniform_values}}",
    "equal values": b"space: {model.encoder_layers: {values: [1, 1.0]}}",
    "ends of floats": b"space: {training.clip_norm: {min: 5.0, max: 1.0}}",
    "vocabulary": b"space: {tokenizer.vocab_size: {min: 0, max: 1}}",
}


@pytest.mark.parametrize("content", CONFIGS)
def test_configurations(content: str, here: Path) -> None:
    (here / "config.yaml").write_bytes(CONFIGS[content])
    ended = check(call(["--config", "config.yaml", "--print_config"]))
    assert ended.status == 2 and "config.yaml" in ended.err and len(ended.err) < 2000


OPTIONS = (
    *("--space=[", "--space=null", '--space={"a":' * DEEP, '--space={"model.d_model": {"values": [NaN]}}'),
    *(
        "--search.trials=nan",
        "--search.trials=1e999",
        "--training.learning_rate=nan",
        "--seed=-1",
        f"--seed={'9' * 50}",
    ),
    *(
        "--model.d_model=0",
        "--tokenizer.vocab_size=1",
        "--data.limit=0",
        "--data.columns=[1,1]",
        "--search.scheduler.rungs=[0]",
    ),
    *(
        "--search.scheduler={",
        "--search.sampler={}x",
        "--search.scheduler=no.such:Thing",
        "--search.scheduler",
        "--policy",
    ),
    *('--search.scheduler={"kind": [1]}', '--search.sampler={"kind": "a:b", "kind": 1}', "--search.scheduler.kind"),
    *("--search.budget=3", "--search.budget.gpu_hours=nan", "--search.concurrency=0", "--finals.beam_size=[]"),
    *("--finals.length_penalty=nan", "--finals.neural_metric=no.such:thing", "--cluster=127.0.0.1:1", "--cluster=host"),
    *("--teardown", "--teardown=maybe", "--storage=file:///proc/x", "--output_dir=/proc/1/x", "--=3", "--a.b.c", "-h3"),
    *("--config", "--name", "--tracking.tags=[", "--search.watchdog_seconds=nan", "--print_config=x", "--model=3"),
    *(
        "--model.positions=\n",
        "--data.source=\0",
        "--data.train=../../x",
        "--search.sampler=grid",
        "--data.target=../x",
    ),
)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option[:30])
def test_options(option: str, place: Path, here: Path) -> None:
    check(call(["--config", str(place / "tiny.yaml"), "--name", "new", option]))


PARSER = make_parser(experiment_class("translation"), "x", "")
WORDS = st.one_of(
    st.sampled_from(
        [action.option_strings[0] for action in make_parser(experiment_class("translation"), "x", "")._actions]
    ),
    st.sampled_from(["resume", "=", "null", "nan", "1e999", "-1", "[]", "{}", "true", "\0", "tiny", "../x"]),
    st.text(max_size=8),
)


@settings(max_examples=600 if ALL else 60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORDS, max_size=6), command=st.sampled_from([*COMMANDS, "--print_config", "--help"]))
def test_arguments(words: list[str], command: str, here: Path) -> None:
    if command == "plan" or (command == "doctor" and not words):
        return  # it measures the machine
    check(call([command, *words]))


def put_fifo(file: Path) -> None:
    os.mkfifo(file)


THINGS: dict[str, Callable[[Path], object]] = {
    "fifo": put_fifo,
    "folder": lambda file: (file / "x").mkdir(parents=True),
    "dangling": lambda file: file.symlink_to("nowhere/x"),
    "device": lambda file: file.symlink_to("/dev/full"),
    "deep": lambda file: file.write_text("[" * 200_000),
    "nan": lambda file: file.write_text('{"trial": NaN, "epoch": 1e999}\n'),
    "binary": lambda file: file.write_bytes(bytes(range(256)) * 20),
    "loop": lambda file: file.symlink_to(file.name),
}
FILES = (
    *("experiment.yaml", "inputs.json", "study.db", "trials.jsonl", "finalists.json", "test_opened.jsonl", "locks"),
    *("locks/driver", "prior.json", "tracking.jsonl", "wandb.json", "earlier", "leaderboard.json", "trials"),
    *("best", "best/config.yaml", "best/decoding.yaml", "best/digests.json", "best/model.safetensors"),
)
SOME = {
    "fifo": FILES[2:9:2] + FILES[-5:],
    "device": FILES[:4],
    "deep": FILES[1:6],
    "nan": ("inputs.json", "trials.jsonl", "prior.json"),
}


@pytest.mark.parametrize("thing", THINGS if ALL else SOME)
def test_files_of_a_run(thing: str, place: Path, here: Path) -> None:
    for file in FILES if ALL else SOME[thing]:
        shutil.rmtree(here / "runs", ignore_errors=True)
        shutil.copytree(place / "runs", here / "runs", symlinks=True)
        damaged = here / "runs" / "half" / file
        if damaged.is_dir():
            shutil.rmtree(damaged)
        damaged.unlink(missing_ok=True)
        THINGS[thing](damaged)
        if not file.startswith("best"):
            assert check(call(["resume", "runs/half"])).status == 2, file
            assert check(call(["replay", "--tables", "runs/half", "--seeds", "1"])).status == 2, file
        if ALL and not file.startswith("best"):
            check(call(["publish", "runs/half"]))
        if file.startswith("best") or file == "experiment.yaml":
            check(call(["translate", "runs/half"], stdin=b"one two\n"))
        for command in (["clean", "--output_dir", "runs"], ["list"], ["status", "runs/half"], ["show", "runs/half"]):
            check(call(command))


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\0\n", b"x" * 100_000, b"\n" * 2000, b"\xed\xa0\x80\n", b""])
def test_text_to_translate(text: bytes, place: Path, here: Path) -> None:
    check(call(["translate", str(place / "runs" / "half"), "--beam_size", "1"], stdin=text[:300]))


def test_a_whole_ranking_is_shown_where_the_output_takes_no_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    board = read_leaderboard(OLD / "leaderboard.json")
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="ascii"))

    def show() -> int:
        Console().print(ranking_table(board, TEST_BLEU, [], TRANSLATION.metrics))
        return 0

    told: list[str] = []
    assert exit_status(show, told.append) == 0 and not told
    assert b"rank" in shown.getvalue() and shown.getvalue().decode("ascii")


def test_output_that_nobody_takes_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w") as full:
        print("a trial", file=full, flush=True)
    went_on = False
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with lasting_output():
            print("a trial", flush=True)
            Console().print("another")
            went_on = True
    assert went_on


def test_the_cluster_is_taken_down_whatever_the_terminal_does(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import search.driver.search_run as pipeline
    from search.cluster.slots import Slots

    taken: list[str] = []

    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError

    def run(search: pipeline.SearchRun) -> None:
        search.concluded = True
        search.console.print("the ranking")

    monkeypatch.setattr(pipeline, "take_down", lambda: taken.append("down"))
    monkeypatch.setattr(pipeline, "check_teardown", lambda experiment: None)
    monkeypatch.setattr(pipeline, "find_slots", lambda *_: Slots(1, 0))
    monkeypatch.setattr(pipeline, "check_slots", lambda *_: None)
    experiment = stored_experiment(place / "runs" / "half").model_copy(update={"cluster": "auto", "teardown": True})
    console = Console()
    monkeypatch.setattr(console, "print", gone)
    for end, expected in ((run, ["down"]), (gone, [])):
        taken.clear()
        monkeypatch.setattr(pipeline.SearchRun, "_run", end)
        with pytest.raises(BrokenPipeError):
            pipeline.SearchRun(experiment, set(), None, console).run()
        assert taken == expected, "after an error before the report the cluster stays, to go on with"


SHELL = {
    "no output": "{} >&-",
    "no input": "{} <&-",
    "no streams": "{} >&- 2>&- <&-",
    "a full disk behind the output": "{} > /dev/full",
    "a full disk behind all": "{} > /dev/full 2>&1",
    "nobody who reads": "{} | true",
}
ENVIRONMENTS = {
    "plain": {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": "nonsense", "COLUMNS": "x", "HOME": ""},
    "no temporary folder": {"TMPDIR": "/nowhere", "HOME": "/nowhere"},
}


@pytest.mark.parametrize("shell", SHELL if ALL else ["no streams", "a full disk behind the output"])
def test_streams(shell: str, place: Path) -> None:
    command = SHELL[shell].format(" ".join([*COMMAND, "configs"]))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode in (0, 1, 2) and "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environments(name: str, place: Path) -> None:
    environment = {**os.environ, **ENVIRONMENTS[name]}
    command = [*COMMAND, "translate", str(place / "runs" / "half"), "--beam_size", "1"]
    done = subprocess.run(command, capture_output=True, input=b"the man\n", timeout=120, cwd=ROOT, env=environment)
    assert done.returncode == 0 and done.stdout.strip() and b"Traceback" not in done.stderr, done.stderr


WITHOUT_ACCESS = "-dac_override,-dac_read_search"
LIMITED = ["setpriv", f"--inh-caps={WITHOUT_ACCESS}", f"--bounding-set={WITHOUT_ACCESS}"]


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs util-linux")
def test_what_may_not_be_read_is_told_with_its_path(place: Path, tmp_path: Path) -> None:
    closed = write_digits(tmp_path / "closed")
    closed.chmod(0)
    command = [*(LIMITED if os.getuid() == 0 else []), *COMMAND, "--config", str(place / "tiny.yaml")]
    done = subprocess.run([*command, "--data.path", str(closed)], capture_output=True, text=True, timeout=120)
    closed.chmod(0o700)
    assert done.returncode == 2 and f"data.path: {closed}: Permission denied; name a path" in done.stderr
