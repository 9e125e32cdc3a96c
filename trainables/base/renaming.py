"""Renamed keys: the old name works for a while, with a warning."""

import sys
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError
from trainables.base.kinds import merge

# By the old name: the new name, and the version that no longer takes the old one (docs/compatibility.md).
RENAMED: dict[str, tuple[str, str]] = {
    "search.rungs": ("search.scheduler.rungs", "0.3"),
    "search.reduction_factor": ("search.scheduler.reduction_factor", "0.3"),
    "search.startup_trials": ("search.sampler.startup_trials", "0.3"),
    "search.prior": ("search.sampler.prior", "0.3"),
}
ABSENT: Any = object()


def with_new_names(tree: dict[str, Any], file: Path) -> dict[str, Any]:
    """The tree with renamed keys under their new names; prints a warning. Raises UserError if both are given."""
    for old, (new, until) in RENAMED.items():
        space = tree.get("space")
        if isinstance(space, dict) and old in space:
            tree = {**tree, "space": {new if path == old else path: domain for path, domain in space.items()}}
            print(
                f"warning: {file}: space: {old} is called {new} now; the old name works until {until}", file=sys.stderr
            )
        value, rest = _taken_out(tree, old.split("."))
        if value is not ABSENT:
            if _taken_out(tree, new.split("."))[0] is not ABSENT:
                raise UserError(f"{file}: {old}: is the old name of {new}, which is given, too; drop it")
            print(f"warning: {file}: {old} is called {new} now; the old name works until {until}", file=sys.stderr)
            for key in reversed(new.split(".")):
                value = {key: value}
            tree = merge(rest, value)
    return tree


def with_new_name(argument: str) -> str:
    """The argument of a command line, by its new name if it is an option with an old name."""
    name, equals, value = argument.partition("=")
    if not name.startswith("--") or name[2:] not in RENAMED:
        return argument
    new, until = RENAMED[name[2:]]
    print(f"warning: {name}: is called {new} now; the old name works until {until}", file=sys.stderr)
    return f"--{new}{equals}{value}"


def _taken_out(tree: dict[str, Any], keys: list[str]) -> tuple[Any, dict[str, Any]]:
    """The value at a path, or ABSENT, and the tree without it."""
    below = tree.get(keys[0], ABSENT)
    if len(keys) == 1:
        return below, {key: value for key, value in tree.items() if key != keys[0]}
    if not isinstance(below, dict):
        return ABSENT, tree
    value, rest = _taken_out(below, keys[1:])
    return value, {**tree, keys[0]: rest}
