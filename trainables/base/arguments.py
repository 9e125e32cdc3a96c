"""The words of a command line before they are parsed: short forms are written out, JSON settings are taken apart."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from trainables.base.errors import UserError
from trainables.base.files import parse_json
from trainables.base.installed import find_config
from trainables.base.kinds import leaves
from trainables.base.renaming import with_new_name
from trainables.base.yaml_files import read_yaml

BOOLEANS = ("true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n")  # as pydantic reads them


def take_mappings(arguments: list[str], kinds: Collection[str]) -> tuple[list[str], dict[str, Any]]:
    """The arguments without kinds whose settings are given as JSON, and these settings by dotted path."""
    rest: list[str] = []
    mappings: dict[str, Any] = {}
    left = arguments[::-1]
    while left:
        argument = left.pop()
        name, equals, value = argument.partition("=")
        value = value if equals else left[-1] if left else ""
        if name.removeprefix("--") not in kinds or not value.lstrip().startswith("{"):
            rest.append(argument)
            continue
        if not equals:
            left.pop()
        try:
            mappings[name.removeprefix("--")] = parse_json(value)
        except ValueError:
            raise UserError(f'{name}: not valid JSON, such as \'{{"kind": "my_module:Name", …}}\'') from None
    return rest, mappings


def spelled_out(arguments: list[str], settings: type[BaseModel], kinds: Collection[str]) -> list[str]:
    """The arguments in full: a flag alone is true, `--help` alone is for all, an old name becomes the new one.

    A kind is named by its field. The word after a flag of a section is its value; after another flag it may be the next
    argument, as in `--trust runs/NAME`.
    """
    arguments = [with_new_name("--help" if argument == "-h" else argument) for argument in arguments]
    arguments = [_with_kind(argument, kinds) for argument in arguments]
    alone = {f"--{path}": "true" for path, field in leaves(settings).items() if field.annotation is bool}
    alone["--help"] = ""
    return [
        f"{argument}={alone[argument]}" if argument in alone and _stands_alone(argument, following) else argument
        for argument, following in zip(arguments, [*arguments[1:], "--"], strict=False)
    ]


def _stands_alone(argument: str, following: str) -> bool:
    return following.startswith("-") or ("." not in argument != "--help" and following.lower() not in BOOLEANS)


def _with_kind(argument: str, kinds: Collection[str]) -> str:
    name, equals, value = argument.partition("=")
    return f"{name}.kind{equals}{value}" if name.startswith("--") and name[2:] in kinds else argument


def peek(arguments: list[str], key: str) -> Any:
    """The value of a top-level key, before the class of the configuration is known; None if it is not given.

    Raises UserError for a file that can't be read.
    """
    said = {
        name.removeprefix("--"): value if equals else following
        for argument, following in zip(arguments, [*arguments[1:], ""], strict=False)
        for name, equals, value in [argument.partition("=")]
        if name in (f"--{key}", "--config")
    }
    if key in said or not said.get("config"):  # errors of --config are reported when it is read
        return said.get(key) or None
    return read_yaml(find_config(said["config"])).get(key)
