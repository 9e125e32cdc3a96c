"""Makes small errors in a copy of the code, one at a time, and reports those that no test notices (`make mutants`).

mutants.toml says which tests belong to a module, which are too slow for this, and which changes have no effect. Tests
run in a fork of this process, in which torch and other libraries are already imported, until one fails; that one has to
pass without the error. The tests run in a temporary copy of the files that git knows, so no file here changes.
"""

import argparse
import gc
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutations import Mutant, mutants

ROOT = Path(__file__).parents[1]
DOCUMENT, BEGIN, END = ROOT / "docs" / "testing.md", "<!-- table -->", "<!-- end of table -->"
IMPORTED = ("torch", "optuna", "sacrebleu", "sentencepiece", "plotly.graph_objects", "scipy.stats", "ray.tune")
TEST_SECONDS, SECONDS = 120, 1800.0  # a test, or all tests of a mutant, that take longer count as endless


@dataclass(frozen=True)
class Outcome:
    """The result of a run of tests."""

    killed_by: str | None  # the first test that failed, "timeout", or "import"; None: all passed
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The content of mutants.toml."""

    tests: dict[str, list[str]]  # by module, its own test file first
    slow: list[str]  # tests that are always left out
    equivalent: dict[tuple[str, str, str], str]  # by file, line of code and change: why no test can notice it
    alive: dict[tuple[str, str, str], str]  # the same: why none does


class Notes:
    """A pytest plugin that records the first failure."""

    def __init__(self, file: Path):
        self.file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.file.exists():
            self.file.write_text(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.file.exists():
            self.file.write_text("import")


def read_plan(file: Path) -> Plan:
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    tests = {module: [f"tests/test_{name}.py" for name in names] for module, names in content["tests"].items()}
    for path in [*tests, *(test for each in tests.values() for test in each)]:
        if not (ROOT / path).is_file():
            sys.exit(f"{file}: {path}: no such file")
    equivalent, alive = (
        {(each["file"], each["code"], each["change"]): each["reason"] for each in content.get(kind, [])}
        for kind in ("equivalent", "alive")
    )
    return Plan(tests, content["slow"], equivalent, alive)


def copy_tree(target: Path) -> None:
    """Copy the files that git knows, in their present state."""
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, known.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def run_tests(tree: Path, tests: Iterable[str], options: Iterable[str] = ()) -> Outcome:
    """Run tests in a fork of this process until the first failure, with these options of pytest."""
    note, started = tree / ".failed", time.monotonic()
    note.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setsid()
        with (tree / ".output").open("wb") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        os.environ["PYTHONPATH"] = str(tree)
        sys.modules["ray"].init = lambda *_, **__: pytest.skip("starts Ray")  # type: ignore[attr-defined]
        always = [
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            f"--timeout={TEST_SECONDS}",
            f"--basetemp={tree}/.tmp",
        ]
        os._exit(pytest.main([*always, *options, *tests], plugins=[Notes(note)]))
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() - started < SECONDS:
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and the processes of its tests
    if ended == (0, 0):
        os.waitpid(child, 0)
        return Outcome("timeout", time.monotonic() - started)
    failed = note.read_text() if note.exists() else "import" if ended[1] else None
    return Outcome(failed, time.monotonic() - started)


def examine(plan: Plan, chosen: list[Mutant], tree: Path, log: Path | None, results: dict[Mutant, Outcome]) -> None:
    """Add the outcome of each mutant to the results. Mutants that the log has as killed are not run again."""
    passing: set[str] = set()  # tests that fail without a mutant
    slow = [f"--deselect={name}" for name in plan.slow]
    known = [json.loads(line) for line in log.read_text().splitlines()] if log and log.exists() else []
    killed = {(each["file"], each["line"], each["change"]): each for each in known if each["killed_by"]}
    for number, mutant in enumerate(chosen, 1):
        if before := killed.get((mutant.file, mutant.line, mutant.change)):
            results[mutant] = Outcome(before["killed_by"], before["seconds"])
            continue
        tests = plan.tests[mutant.file]
        (tree / mutant.file).write_text(mutant.source, encoding="utf-8")
        outcome = run_tests(tree, tests, slow)
        shutil.copy2(ROOT / mutant.file, tree / mutant.file)
        if (test := outcome.killed_by) and test != "timeout" and test not in passing:
            alone = run_tests(tree, tests, ["--collect-only"]) if test == "import" else run_tests(tree, [test])
            if alone.killed_by:
                sys.exit(f"{test} fails without a mutant:\n{(tree / '.output').read_text()}")
            passing.add(test)
        results[mutant] = outcome
        end = outcome.killed_by or "SURVIVED"
        print(f"{number}/{len(chosen)} {mutant}: {end} ({outcome.seconds:.0f} s)", flush=True)
        if log:
            record = {"file": mutant.file, "line": mutant.line, "change": mutant.change}
            with log.open("a") as out:
                out.write(json.dumps({**record, "killed_by": outcome.killed_by, "seconds": outcome.seconds}) + "\n")


def table(plan: Plan, results: dict[Mutant, Outcome | None], command: str) -> str:
    """The table of all modules with mutants; the outcome None is an equivalent mutant."""
    modules: defaultdict[str, list[Mutant]] = defaultdict(list)
    for mutant in results:
        modules[mutant.file].append(mutant)
    lines = ["| module | mutants | equivalent | killed | survivors and why |", "| --- | ---: | ---: | ---: | --- |"]
    totals = [0, 0, 0]
    for file, group in sorted(modules.items()):
        equal = [each for each in group if results[each] is None]
        left = [each for each in group if (outcome := results[each]) and not outcome.killed_by]
        counts = [len(group), len(equal), len(group) - len(equal) - len(left)]
        totals = [sum(pair) for pair in zip(totals, counts, strict=True)]
        whys = "; ".join(f"`{each.change}`: {plan.alive.get(each.key, 'no test yet')}" for each in left)
        lines.append(f"| `{file}` | {' | '.join(map(str, counts))} | {whys.replace('|', chr(92) + '|')} |")
    count, equal_count, killed = totals
    ends = [outcome.killed_by for outcome in results.values() if outcome]
    lines.append(f"| all | {count} | {equal_count} | {killed} | {ends.count(None)} |")
    summary = (
        f"{time.strftime('%Y-%m-%d')}, `{command}`: {killed} of {count - equal_count} fail a test "
        f"({ends.count('timeout')} by the time limit, {ends.count('import')} as they can't be imported)."
    )
    return "\n".join([summary, "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="paths such as search/engine/work.py; default: all of mutants.toml")
    parser.add_argument("--sample", type=int, help="so many at random; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="mutants whose change has this text")
    parser.add_argument("--line", type=int, help="mutants of this line")
    parser.add_argument("--list", action="store_true", help="show them and run nothing")
    parser.add_argument("--log", type=Path, help="lines of JSON; what it has as killed is not run again")
    parser.add_argument("--write", action="store_true", help=f"the table of {DOCUMENT.relative_to(ROOT)}")
    options = parser.parse_args()
    plan = read_plan(ROOT / "tools" / "mutants.toml")
    if unknown := set(options.modules) - set(plan.tests):
        sys.exit(f"{', '.join(sorted(unknown))}: mutants.toml names no tests for it")
    found = [each for file in options.modules or plan.tests for each in mutants(file, (ROOT / file).read_text())]
    keys = {each.key for each in found}
    for key in (*plan.equivalent, *plan.alive):
        if key not in keys and key[0] in (options.modules or plan.tests):
            sys.exit(f"mutants.toml: {': '.join(key)}: no such mutant any more")
    chosen = [each for each in found if options.only in each.change and options.line in (None, each.line)]
    if options.sample is not None and options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    print(f"{len(chosen)} of {len(found)} mutants")
    different = [each for each in chosen if each.key not in plan.equivalent]
    if options.list:
        sys.exit("\n".join(map(str, chosen)))
    for library in IMPORTED:
        importlib.import_module(library)
    gc.freeze()  # the garbage collector skips imported objects in each fork
    outcomes: dict[Mutant, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="babeltune-mutants-") as folder:
        copy_tree(Path(folder))
        with suppress(KeyboardInterrupt):  # then the table has the mutants that were run
            examine(plan, different, Path(folder), options.log, outcomes)
    command = " ".join(["python tools/mutants.py", *sys.argv[1:]])
    done = [each for each in chosen if each in outcomes or each not in different]
    text = table(plan, {each: outcomes.get(each) for each in done}, command)
    print(text)
    if options.write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
