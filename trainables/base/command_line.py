"""Configuration from a YAML file and dotted options, for every program of the project."""

import re
from argparse import ArgumentParser
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsError

from trainables.base.config import flatten, set_paths
from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import parse_json
from trainables.base.installed import find_config
from trainables.base.kinds import find_kinds, is_config, kinds_of, merge
from trainables.base.mistakes import validate
from trainables.base.renaming import with_new_name
from trainables.base.yaml_files import dump_yaml, read_yaml

T = TypeVar("T", bound=BaseModel)


def parse_config(
    config_class: type[T], arguments: list[str], program: str, about: str, default_file: Path | None = None
) -> tuple[T, Path]:
    """The value that `--config FILE` and dotted options (`--training.epochs 2`) describe, and the file; options win.

    `--help` and `--print_config` print and exit with status 0. Raises UserError for every mistake, naming
    the file or option, the key and what would be right.
    """
    options = _parse_options(config_class, arguments, program, about)
    named = options.pop("config", None)
    file = find_config(named) if named else default_file or Path()
    print_config = options.pop("print_config", False)
    tree = read_yaml(file) if file.name else {}
    value = validate(config_class, merge(tree, options, find_kinds(config_class)), str(file), options)
    if print_config:
        print(dump_yaml(value), end="")
        raise SystemExit(0)
    return value, file


def override(value: T, arguments: list[str], program: str, about: str, file: Path) -> tuple[T, set[str]]:
    """A value read from `file`, changed by dotted options, and the dotted paths that these set."""
    options = _parse_options(type(value), arguments, program, about)
    options.pop("print_config", None)
    if options.pop("config", None):
        raise UserError(f"--config: the configuration is {file}; change single keys by dotted options")
    tree = merge(value.model_dump(mode="json"), options, find_kinds(type(value)))
    changed = validate(type(value), tree, str(file), options)
    return changed, set(flatten(options))


def make_parser(config_class: type[BaseModel], program: str, about: str) -> ArgumentParser:
    """The options of `parse_config`, with the values of those that have few, for completion in a shell."""
    settings = _settings(config_class, about)
    leaves = _leaves(settings)
    words = {f"--{path}": list(kinds) for path, kinds in find_kinds(config_class).items()}
    source: CliSettingsSource[Any] = CliSettingsSource(settings, cli_prog_name=program, cli_hide_none_type=True)
    parser: ArgumentParser = source.root_parser
    for action in parser._actions:
        option = next(iter(action.option_strings), "")
        annotation = leaves.get(option.removeprefix("--"))
        if option in words:
            action.choices, action.nargs, action.help = words[option], None, f"the same as {option}.kind"
        elif annotation is bool:
            action.choices = ("true", "false")
        elif get_origin(annotation) is Literal:
            action.choices = get_args(annotation)
    return parser


def _settings(config_class: type[BaseModel], about: str) -> type[BaseSettings]:
    settings = create_model(
        config_class.__name__,
        __base__=cast(tuple[type[BaseSettings], ...], (_with_all_settings(config_class), BaseSettings)),
        __doc__=about,
        config=(str | None, Field(None, description="YAML file to start from, or the name of one in configs/")),
        print_config=(bool, Field(False, description="print the resolved configuration and exit")),
    )
    return cast(type[BaseSettings], settings)


def _with_all_settings(config_class: type[BaseModel]) -> type[BaseModel]:
    """The class as options of a command line see it: a field for one of many kinds has the settings of all."""
    fields: dict[str, Any] = {}
    for name, field in config_class.model_fields.items():
        if kinds := kinds_of(field):
            fields[name] = (kinds.all_settings(), Field(description=field.description))
        elif is_config(field.annotation):
            below = _with_all_settings(field.annotation)
            if below is not field.annotation:
                fields[name] = (below, Field(description=field.description))
    return create_model(config_class.__name__, __base__=config_class, **fields) if fields else config_class


def _parse_options(config_class: type[BaseModel], arguments: list[str], program: str, about: str) -> dict[str, Any]:
    """Only what the command line itself says, as a nested dictionary."""
    settings, kinds = _settings(config_class, about), find_kinds(config_class)
    arguments, mappings = _take_mappings(arguments, kinds)
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(
            settings,
            cli_prog_name=program,
            cli_parse_args=_spelled_out(arguments, settings, kinds),
            cli_parse_none_str="null",
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_exit_on_error=False,
        )
        options: dict[str, Any] = source()
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ")
        if unknown := re.search(r"unrecognized arguments: --(\S+)", message):
            name = unknown[1].partition("=")[0]
            raise UserError(f"--{name}: unknown option{did_you_mean(name, list(_leaves(settings)), '--')}") from None
        if broken := re.search(r'error parsing value for field "(\w+)"', message):
            raise UserError(f"--{broken[1]}: not valid JSON, such as '{{\"model.d_model\": {{...}}}}'") from None
        raise UserError(f"{message}; see --help") from None
    return merge(options, set_paths({}, mappings))


def _take_mappings(arguments: list[str], kinds: Collection[str]) -> tuple[list[str], dict[str, Any]]:
    """The arguments without those that give a kind with its settings as JSON, and what these give, by dotted path."""
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


def _spelled_out(arguments: list[str], settings: type[BaseModel], kinds: Collection[str]) -> list[str]:
    """A flag alone, as `--teardown`, says true; an old name is the new one; a kind is named by the field alone."""
    arguments = [with_new_name(argument) for argument in arguments]
    arguments = [_with_kind(argument, kinds) for argument in arguments]
    flags = {f"--{path}" for path, annotation in _leaves(settings).items() if annotation is bool}
    return [
        f"{argument}=true" if argument in flags and following.startswith("-") else argument
        for argument, following in zip(arguments, [*arguments[1:], "--"], strict=False)
    ]


def _with_kind(argument: str, kinds: Collection[str]) -> str:
    name, equals, value = argument.partition("=")
    return f"{name}.kind{equals}{value}" if name.startswith("--") and name[2:] in kinds else argument


def _leaves(config_class: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """The annotation of each dotted path."""
    leaves: dict[str, Any] = {}
    for name, field in config_class.model_fields.items():
        annotation = field.annotation
        if is_config(annotation):
            leaves |= _leaves(annotation, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = annotation
    return leaves


def peek(arguments: list[str], key: str) -> Any:
    """The value of a key on the first level, for who must know it to find the class; None if nothing says it.

    Raises UserError for a file that can't be read.
    """
    said = {
        name.removeprefix("--"): value if equals else following
        for argument, following in zip(arguments, [*arguments[1:], ""], strict=True)
        for name, equals, value in [argument.partition("=")]
        if name in (f"--{key}", "--config")
    }
    if key in said or "config" not in said:
        return said.get(key)
    return read_yaml(find_config(said["config"])).get(key)
