"""What `--help` prints: commands, then sections of keys; for a section its keys, their types and defaults."""

import re
import shutil
import textwrap
from collections.abc import Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import CliPositionalArg

from trainables.base.errors import UserError, did_you_mean, either
from trainables.base.kinds import OWN, Kinds, find_kinds, is_config

WIDEST = 110  # columns that can be read easily
POSITIONAL = get_args(CliPositionalArg[str])[1]
WORDS: dict[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", NoneType: "null"}


class Program(NamedTuple):
    """A program or command, as `--help` describes it."""

    name: str  # what one types to call it
    about: str  # what it does, in a sentence or two
    commands: Mapping[str, str] = MappingProxyType({})  # what each of its commands is about, by name


def help_page(config_class: type[BaseModel], fields: Mapping[str, FieldInfo], program: Program, topic: str) -> str:
    """The page for a program, or for a section or key of its configuration; topic "all": for all keys.

    Args:
        config_class: The configuration that the options describe.
        fields: All options, by their dotted paths.
        program: The program.
        topic: A section such as `search`, or a dotted key; empty for the first page.

    Raises:
        UserError: For an unknown topic.
    """
    name, kinds, sections = program.name, find_kinds(config_class), _sections(config_class)
    fields = {_named_alone(path, kinds): field for path, field in fields.items()}
    if topic:
        chosen = {path: field for path, field in fields.items() if topic == "all" or f"{path}.".startswith(f"{topic}.")}
        if not chosen and topic in program.commands:
            raise UserError(f"--help {topic}: is a command; see `{name} {topic} --help`")
        if not chosen:
            raise UserError(f"--help {topic}: no such section or key{did_you_mean(topic, [*sections, *fields])}")
        return "\n\n".join(filter(None, (sections.get(topic), _describe(chosen, kinds))))
    own = {path: field for path, field in fields.items() if path.partition(".")[0] not in sections}
    positional = [path.upper() for path in own if _is_positional(own[path])]
    parts = [
        f"usage: {' '.join([name, *positional, *(['[--KEY VALUE …]'] * (len(own) > len(positional) + 1))])}",
        "\n".join(_wrap(f"{program.about[:1].upper()}{program.about[1:]}", 0, 0)),
    ]
    if program.commands:
        parts.append(f"commands, each with its own --help:\n{_list(program.commands)}")
    parts.append(f"options:\n{_describe(own, kinds)}")
    if sections:
        example = f"{name} --help {next(iter(sections))}"
        parts.append(f"sections of keys, as in `{example}`; `--help all` has all keys:\n{_list(sections)}")
        parts.append("A key is an option, as in --training.epochs 3, and a line of a file for --config.")
    return "\n\n".join(parts)


def _list(abouts: Mapping[str, str]) -> str:
    """A line for each name, with its description."""
    rows = (f"{name:13}{' '.join(text.split())}" for name, text in abouts.items())
    return "\n".join(line for row in rows for line in _wrap(row, 2, 15))


def describe_type(annotation: Any, metadata: list[Any] | None = None) -> str:
    """The type of a key, in words.

    >>> describe_type(int | None, [Ge(1)])
    'whole number (1 or more) or null'
    """
    origin, limits = get_origin(annotation), _limits(metadata or [])
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return describe_type(inner, [part for each in more for part in getattr(each, "metadata", [each])])
    if origin in (Union, UnionType):
        null = ["null"] * (NoneType in get_args(annotation))
        members = [describe_type(each, metadata) for each in get_args(annotation) if each is not NoneType]
        return either([*members, *null])
    if origin is Literal:
        return either([str(word) for word in get_args(annotation)])
    if origin is tuple:
        first, *others = [describe_type(each) for each in get_args(annotation) if each is not ...]
        many = re.sub(r"^(whole number|number|text)", r"\1s", first)
        return f"[{', '.join([first, *others])}]" if others else f"list of {many}"
    return f"{WORDS.get(annotation, 'JSON')}{limits}"


def describe_default(default: Any) -> str:
    """A default as one would write it in a file."""
    match default:
        case None:
            return "null"
        case bool():
            return str(default).lower()
        case tuple():
            return f"[{', '.join(map(describe_default, default))}]"
        case BaseModel():
            return "{}"
        case _:
            return str(default)


def _sections(config_class: type[BaseModel]) -> dict[str, str]:
    """The description of each section, by its name."""
    return {
        name: field.description or (field.annotation.__doc__ or "").partition("\n\n")[0]
        for name, field in config_class.model_fields.items()
        if is_config(field.annotation)
    }


def _named_alone(path: str, kinds: Mapping[str, Kinds[Any]]) -> str:
    """The path without `.kind` for a kind: --search.sampler, not --search.sampler.kind."""
    return path.removesuffix(".kind") if path.removesuffix(".kind") in kinds else path


def _is_positional(field: FieldInfo) -> bool:
    return POSITIONAL in field.metadata


def _describe(fields: Mapping[str, FieldInfo], kinds: Mapping[str, Kinds[Any]]) -> str:
    lines: list[str] = []
    for path, field in sorted(fields.items(), key=lambda item: not _is_positional(item[1])):
        takes, described = _takes(path, field), [field.description or ""]
        if table := kinds.get(path):
            takes = f"one of (default {describe_default(field.default)})"
            described = [f"{name}: {text}" for name, text in table.summaries.items()]
            described += [f"{OWN}: a class of your own"] * table.has_own
        title = path.upper() if _is_positional(field) else f"--{path}"
        lines += _wrap(f"{title}  {takes}", 2, 6)
        lines += [line for text in described for line in _wrap(text, 6, 8 if table else 6)]
    return "\n".join(lines)


def _takes(path: str, field: FieldInfo) -> str:
    """The type of a key and its default; nothing for a positional argument and for a flag."""
    if field.title:
        return field.title
    if _is_positional(field) or (field.annotation is bool and "." not in path):
        return ""
    words = describe_type(field.annotation, field.metadata)
    if field.default is None:
        words = words.removesuffix(" or null")
    return f"{words} (default {describe_default(field.default)})" if field.default != "" else words


def _limits(metadata: list[Any]) -> str:
    """The limits in words, such as " (0 or more, below 1)"; empty without limits."""
    words = []
    for limit in metadata:
        match limit:
            case Ge():
                words.append(f"{limit.ge:,} or more")
            case Gt():
                words.append(f"above {limit.gt:,}")
            case Le():
                words.append(f"at most {limit.le:,}")
            case Lt():
                words.append(f"below {limit.lt:,}")
    return f" ({', '.join(words)})" if words else ""


def _wrap(text: str, first: int, others: int) -> list[str]:
    width = max(40, min(WIDEST, shutil.get_terminal_size((WIDEST, 0)).columns))
    return textwrap.wrap(
        text, width, initial_indent=" " * first, subsequent_indent=" " * others, break_on_hyphens=False
    )
