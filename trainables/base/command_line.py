"""Configuration from a YAML file and dotted options, for every program of the project."""

import math
import re
import sys
from argparse import ArgumentParser
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsError

from trainables.base.config import flatten
from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import read_text
from trainables.base.installed import find_config
from trainables.base.kinds import TAG, Kinds, kinds_of

T = TypeVar("T", bound=BaseModel)
LARGEST = 1_000_000  # bytes of a configuration
MOST_VALUES = 100_000  # of one, with all that its aliases stand for
SHOWN = 200  # characters of a wrong value in a message
# Old name of a key: its name now, and the version that no longer takes the old one (docs/compatibility.md).
RENAMED: dict[str, tuple[str, str]] = {
    "search.rungs": ("search.scheduler.rungs", "0.3"),
    "search.reduction_factor": ("search.scheduler.reduction_factor", "0.3"),
    "search.startup_trials": ("search.sampler.startup_trials", "0.3"),
    "search.prior": ("search.sampler.prior", "0.3"),
}
ABSENT: Any = object()
UNION_MEMBER = re.compile(r"(constrained-)?(int|float|bool|str)|(literal|tuple|kind)\[.*\]")


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


class _UniqueKeys(yaml.SafeLoader):
    """YAML forbids a key twice in a mapping; the loader alone would drop the first in silence. Aliases may not multiply
    what they stand for without end."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node and _count_values(node, {}) > MOST_VALUES:
            raise yaml.constructor.ConstructorError(problem=f"its aliases stand for more than {MOST_VALUES:,} values")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    problem="a key must be text; quote what is no YAML, as in '{{ name }}'", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file of the user's, with renamed keys under their names of today. Raises UserError."""
    return _with_new_names(read_stored(file), file)


def read_stored(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file as it stands. Raises UserError."""
    try:
        tree = yaml.load(read_text(file, LARGEST), _UniqueKeys)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}; name an existing YAML file with --config") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: not a text file; --config takes YAML") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{file}: not valid YAML: {_short(' '.join(str(error).split()))}") from None
    except RecursionError:
        raise UserError(f"{file}: not valid YAML: it is nested too deeply") from None
    if not isinstance(tree, dict | None):
        raise UserError(f"{file}: must hold keys and values, not {type(tree).__name__}")
    return tree or {}


def _count_values(node: yaml.Node, known: dict[int, float]) -> float:
    """In a node with all that its aliases stand for; one that holds itself is without end."""
    if id(node) not in known:
        known[id(node)] = math.inf
        below = node.value if isinstance(node, yaml.CollectionNode) else ()
        pairs = isinstance(node, yaml.MappingNode)
        known[id(node)] = 1 + sum(_count_values(each[1] if pairs else each, known) for each in below)
    return known[id(node)]


def dump_yaml(value: BaseModel) -> str:
    return yaml.safe_dump(value.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def merge(
    tree: dict[str, Any], changes: dict[str, Any], kinds: Mapping[str, Kinds[Any]] | None = None
) -> dict[str, Any]:
    """`tree` with the leaves of `changes`; the space is one leaf, as its keys are paths.

    kinds: by dotted path. Where `changes` name another kind, the settings of the one in the tree are gone; a word
    alone is a kind by its name.
    """
    merged, kinds = dict(tree), kinds or {}
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(below, str) and isinstance(value, dict):
            below = {"kind": below}
        if table := kinds.get(key):
            other = "kind" in value and value["kind"] != table.kind_of(below)
            below = None if other else below
        both = isinstance(value, dict) and isinstance(below, dict) and key != "space"
        inner = {path.partition(".")[2]: table for path, table in kinds.items() if path.startswith(f"{key}.")}
        merged[key] = merge(below, value, inner) if both and isinstance(below, dict) else value
    return merged


def validate(config_class: type[T], tree: dict[str, Any], file: str, options: dict[str, Any] | None = None) -> T:
    """Build the value, or raise UserError with a line for each mistake."""
    try:
        return config_class.model_validate(tree)
    except ValidationError as error:
        raise UserError("\n".join(_explain(error, config_class, file, options or {}))) from None


def _with_new_names(tree: dict[str, Any], file: Path) -> dict[str, Any]:
    """The tree with renamed keys under their names of today; says so. Raises UserError where both are given."""
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


def _taken_out(tree: dict[str, Any], keys: list[str]) -> tuple[Any, dict[str, Any]]:
    """The value at a path, ABSENT if it is not there, and the tree without it."""
    below = tree.get(keys[0], ABSENT)
    if len(keys) == 1:
        return below, {key: value for key, value in tree.items() if key != keys[0]}
    if not isinstance(below, dict):
        return ABSENT, tree
    value, rest = _taken_out(below, keys[1:])
    return value, {**tree, keys[0]: rest}


def _explain(
    error: ValidationError, config_class: type[BaseModel], file: str, options: dict[str, Any]
) -> Iterator[str]:
    given = flatten(options)
    messages: dict[str, list[str]] = {}  # of each path; several where a union has several members
    got: dict[str, str] = {}
    for mistake in error.errors():
        # pydantic adds the tried member of a union to the location, which is no key of ours.
        keys = [str(key) for key in mistake["loc"] if not UNION_MEMBER.fullmatch(str(key))]
        path = ".".join(keys)
        message = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            dotted = "; a space has dotted paths, such as model.d_model" if keys[0] == "space" else ""
            of_kind = TAG.fullmatch(str(mistake["loc"][-2])) if len(keys) > 1 else None
            what = f"no setting of {of_kind[1]}" if of_kind else "unknown key"
            message = f"{what}{dotted}{did_you_mean(keys[-1], _siblings(config_class, mistake['loc'][:-1]))}"
        elif mistake["type"] == "value_error":
            # The validator of several fields starts its message with the one it blames.
            if blamed := re.match(r"([a-z][\w.]*): ", message):
                path, message = f"{path}." * bool(path) + blamed[1], message[blamed.end() :]
        else:
            message = f"{message[0].lower()}{message[1:]}"
            got[path] = f", got {_short(repr(mistake['input']))}"
        messages.setdefault(path, []).append(message)
    for path, alternatives in messages.items():
        optional = any(f"{path}.".startswith(f"{key}.") or key.startswith(f"{path}.") for key in given)
        where = f"--{path}" if optional else f"{file}: {path}" if file not in ("", ".") else path
        yield f"{where}: {' or '.join(dict.fromkeys(alternatives))}{got.get(path, '')}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _siblings(config_class: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    """The keys at a place of a mistake."""
    kinds: Kinds[Any] | None = None
    for key in place:
        field = config_class.model_fields.get(str(key))
        if kinds is not None and (named := TAG.fullmatch(str(key))):
            config_class = kinds[named[1]]
        elif field is not None and _is_config(field.annotation):
            config_class, kinds = field.annotation, kinds_of(field)
        else:
            return []
    return list(config_class.model_fields)


def _is_config(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def find_kinds(config_class: type[BaseModel], prefix: str = "") -> dict[str, Kinds[Any]]:
    """The table of kinds at each dotted path that has one."""
    found: dict[str, Kinds[Any]] = {}
    for name, field in config_class.model_fields.items():
        if kinds := kinds_of(field):
            found[f"{prefix}{name}"] = kinds
        elif _is_config(field.annotation):
            found |= find_kinds(field.annotation, f"{prefix}{name}.")
    return found


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
        elif _is_config(field.annotation):
            below = _with_all_settings(field.annotation)
            if below is not field.annotation:
                fields[name] = (below, Field(description=field.description))
    return create_model(config_class.__name__, __base__=config_class, **fields) if fields else config_class


def _parse_options(config_class: type[BaseModel], arguments: list[str], program: str, about: str) -> dict[str, Any]:
    """Only what the command line itself says, as a nested dictionary."""
    settings = _settings(config_class, about)
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(
            settings,
            cli_prog_name=program,
            cli_parse_args=_spelled_out(arguments, settings, find_kinds(config_class)),
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
    return options


def _spelled_out(arguments: list[str], settings: type[BaseModel], kinds: Collection[str]) -> list[str]:
    """A flag alone, as `--teardown`, says true; an old name is the new one; a kind is named by the field alone."""
    arguments = [_new_option(argument) for argument in arguments]
    arguments = [_with_kind(argument, kinds) for argument in arguments]
    flags = {f"--{path}" for path, annotation in _leaves(settings).items() if annotation is bool}
    return [
        f"{argument}=true" if argument in flags and following.startswith("-") else argument
        for argument, following in zip(arguments, [*arguments[1:], "--"], strict=False)
    ]


def _with_kind(argument: str, kinds: Collection[str]) -> str:
    name, equals, value = argument.partition("=")
    return f"{name}.kind{equals}{value}" if name.startswith("--") and name[2:] in kinds else argument


def _new_option(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not name.startswith("--") or name[2:] not in RENAMED:
        return argument
    new, until = RENAMED[name[2:]]
    print(f"warning: {name}: is called {new} now; the old name works until {until}", file=sys.stderr)
    return f"--{new}{equals}{value}"


def _leaves(config_class: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """The annotation of each dotted path."""
    leaves: dict[str, Any] = {}
    for name, field in config_class.model_fields.items():
        annotation = field.annotation
        if _is_config(annotation):
            leaves |= _leaves(annotation, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = annotation
    return leaves
