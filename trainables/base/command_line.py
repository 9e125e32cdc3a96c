"""Configuration from a YAML file and dotted options, for every program of the project."""

import re
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsError

from trainables.base.arguments import spelled_out, take_mappings
from trainables.base.config import flatten, set_paths
from trainables.base.errors import UserError, did_you_mean
from trainables.base.help_pages import Program, help_page
from trainables.base.installed import find_config
from trainables.base.kinds import find_kinds, leaves, merge, with_all_settings
from trainables.base.mistakes import OPTION, validate
from trainables.base.yaml_files import dump_yaml, read_yaml

T = TypeVar("T", bound=BaseModel)


# Of options that take JSON.
EXAMPLES = {"space": '{"model.d_model": {...}}', "metrics": '{"mine": "my_module:metric"}'}


class Helping(BaseModel):
    """The option that every command has."""

    help: str | None = Field(
        None, title="SECTION or KEY", description="print this, or the keys of a section, and exit; all: all keys"
    )


class Common(Helping):
    """The options that every program with a configuration has besides its keys."""

    config: str | None = Field(None, title="FILE", description="YAML to start from, or the name of one in configs/")
    print_config: bool = Field(False, description="print the resolved configuration and exit")


def parse_config(
    config_class: type[T], arguments: list[str], program: Program, default_file: Path | None = None
) -> tuple[T, Path]:
    """The value that `--config FILE` and dotted options (`--training.epochs 2`) describe, and the file.

    Options override the file. `--help` and `--print_config` print and exit with status 0. Raises UserError for every
    error, with the file or option, the key and what would be right.
    """
    options = parse_options(config_class, arguments, program)
    value, file, _ = read_config(config_class, options, default_file)
    return value, file


def parse_options(
    config_class: type[BaseModel], arguments: list[str], program: Program, common: type[Helping] = Common
) -> dict[str, Any]:
    """The options on the command line alone, as a nested dictionary of plain values.

    `--help` prints a page and exits with status 0.

    Args:
        config_class: The configuration that the options describe.
        arguments: The command line.
        program: The program, for `--help` and messages.
        common: Options besides those of the configuration.

    Raises:
        UserError: For an unknown option, or one without its value.
    """
    settings, kinds = _settings(config_class, program.about, common), find_kinds(config_class)
    arguments, mappings = take_mappings(arguments, kinds)
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(
            settings,
            cli_prog_name=program.name,
            cli_parse_args=spelled_out(arguments, settings, kinds),
            cli_parse_none_str="null",
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_exit_on_error=False,
            parse_args_method=ArgumentParser.parse_intermixed_args,  # `export RUN --to FORM DIR`
        )
        options: dict[str, Any] = source()
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ")
        raise UserError(_explain(message, settings, program.name)) from None
    topic = options.pop("help", None)
    if topic is not None:
        print(help_page(config_class, leaves(settings), program, topic))
        raise SystemExit(0)
    return merge(options, set_paths({}, mappings))


def read_config(
    config_class: type[T],
    options: dict[str, Any],
    default_file: Path | None = None,
    overlay: Callable[[dict[str, Any]], tuple[Path, dict[str, Any]]] | None = None,
) -> tuple[T, Path, dict[str, str]]:
    """The value that options describe, with `config` and `print_config`; its file; the source of each key, for `blame`.

    overlay: gets the keys of file and options; returns a second file, and its keys, which replace those of the first.

    Raises UserError.
    """
    own, options = take(Common, options)
    file = default_file or Path() if own.config is None else find_config(own.config)
    tree, kinds = read_yaml(file) if file.name else {}, find_kinds(config_class)
    places, shown = dict.fromkeys(flatten(tree), f"{file}: "), str(file) if file.name else "without --config"
    if overlay is not None:
        second, keys = overlay(merge(tree, options, kinds))
        tree, shown = merge(tree, keys, kinds), f"{second}, over {file}"
        places |= dict.fromkeys(flatten(keys), f"{second}: ")
    value = validate(config_class, merge(tree, options, kinds), shown, options)
    if own.print_config:
        _print_and_exit(value)
    return value, file, places | dict.fromkeys(flatten(options), OPTION)


def override(value: T, options: dict[str, Any], file: Path) -> tuple[T, set[str]]:
    """A value read from `file` and changed by options, and the dotted paths of these. Raises UserError.

    With `print_config` among the options, the value is printed and the program exits with status 0.
    """
    own, options = take(Common, options)
    if own.config is not None:
        raise UserError(f"--config: the configuration is {file}; change single keys by dotted options")
    tree = merge(value.model_dump(mode="json"), options, find_kinds(type(value)))
    changed = validate(type(value), tree, str(file), options)
    if own.print_config:
        _print_and_exit(changed)
    return changed, set(flatten(options))


def _print_and_exit(value: BaseModel) -> NoReturn:
    print(dump_yaml(value), end="")
    raise SystemExit(0)


def parse_arguments(config_class: type[T], arguments: list[str], program: Program) -> T:
    """The arguments of a command that has no configuration. Raises UserError."""
    return take(config_class, parse_options(config_class, arguments, program, Helping))[0]


def take(own: type[T], options: dict[str, Any]) -> tuple[T, dict[str, Any]]:
    """The options of a command itself, as a value, and those of the configuration. Raises UserError."""
    names = own.model_fields.keys()
    mine = {name: given for name, given in options.items() if name in names}
    return validate(own, mine, "", mine), {name: given for name, given in options.items() if name not in names}


def make_parser(config_class: type[BaseModel], program: str, about: str) -> ArgumentParser:
    """A parser with the options of `parse_config` and the values of those that have few, for completion in a shell."""
    settings = _settings(config_class, about)
    known = {path: field.annotation for path, field in leaves(settings).items()}
    words = {f"--{path}": list(kinds) for path, kinds in find_kinds(config_class).items()}
    source: CliSettingsSource[Any] = CliSettingsSource(settings, cli_prog_name=program, cli_hide_none_type=True)
    parser: ArgumentParser = source.root_parser
    for action in parser._actions:
        option = next(iter(action.option_strings), "")
        annotation = known.get(option.removeprefix("--"))
        if option in words:
            action.choices, action.nargs, action.help = words[option], None, f"the same as {option}.kind"
        elif annotation is bool:
            action.choices = ("true", "false")
        elif get_origin(annotation) is Literal:
            action.choices = get_args(annotation)
    return parser


def _settings(config_class: type[BaseModel], about: str, common: type[Helping] = Common) -> type[BaseSettings]:
    settings = create_model(
        config_class.__name__,
        __base__=cast(tuple[type[BaseSettings], ...], (with_all_settings(config_class), common, BaseSettings)),
        __doc__=about,
    )
    return cast(type[BaseSettings], settings)


def _explain(message: str, settings: type[BaseSettings], program: str) -> str:
    """The error of argparse, with the option and what would be right."""
    known = leaves(settings)
    if unknown := re.search(r"unrecognized arguments: (.+)", message, re.DOTALL):
        argument, _, _ = unknown[1].partition(" ")
        name = argument.partition("=")[0]
        if name.startswith("-"):
            return f"{name}: unknown option{did_you_mean(name.lstrip('-'), list(known), '--')}"
        file = argument.endswith((".yaml", ".yml"))
        return f"{argument}: unexpected; " + (
            f"did you mean --config {argument}?" if file else f"options begin with --, see `{program} --help`"
        )
    if lacking := re.fullmatch(r"argument --(\S+): expected one argument", message):
        default = "quickstart" if lacking[1] == "config" else known[lacking[1]].default if lacking[1] in known else None
        example = f", such as --{lacking[1]} {default}" if isinstance(default, str | int | float) else ""
        return f"--{lacking[1]}: needs a value{example}"
    if broken := re.search(r'error parsing value for field "(\w+)"', message):
        example = EXAMPLES.get(broken[1], '{"key": 1}')
        return f"--{broken[1]}: not valid JSON, such as '{example}'"
    return f"{message}; see `{program} --help`"
