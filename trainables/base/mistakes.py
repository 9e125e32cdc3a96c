"""Values to a configuration; errors to messages with the file or option, the key, and what would be right."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails

from trainables.base.config import flatten
from trainables.base.errors import UserError, did_you_mean, either, shortened
from trainables.base.kinds import TAG, Kinds, is_config, kinds_of, leaves, with_all_settings

T = TypeVar("T", bound=BaseModel)
UNION_MEMBER = re.compile(r"(constrained-)?(int|float|bool|str)|(literal|tuple|kind)\[.*\]")
OPTION = "--"  # precedes a key that an option set
KEY = re.compile(r"([a-z]\w*(?:\.\w+)*): ")
# What a value must be, by pydantic's type of error; other types have pydantic's own words.
MUST_BE = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list, such as [1, 2]"),
    "string_type": "text",
    "finite_number": "a finite number",
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
}


def validate(config_class: type[T], tree: dict[str, Any], file: str, options: dict[str, Any] | None = None) -> T:
    """Build the value, or raise UserError with a line for each error."""
    try:
        return config_class.model_validate(tree)
    except ValidationError as error:
        raise UserError("\n".join(_explain(error, config_class, file, options or {}))) from None


@contextmanager
def blame(places: Mapping[str, str]) -> Iterator[None]:
    """Add what set a key to a UserError of the block that begins with it; places: OPTION or `file: `, by key."""
    try:
        yield
    except UserError as error:
        message = str(error)
        if (found := KEY.match(message)) and (place := _set_by(found[1], places)):
            error.args = (f"{_shown_at(place, found[1])}: {message[found.end() :]}",)
        raise


def _set_by(path: str, places: Mapping[str, str]) -> str | None:
    """What set a key, a key below it, or one above it."""
    near = (key for key in places if f"{key}.".startswith(f"{path}.") or path.startswith(f"{key}."))
    return next((places[key] for key in near), None)


def _shown_at(place: str, path: str) -> str:
    """A key with the option or file that set it; the whole space is one option."""
    inside = path.removeprefix("space.")
    return f"--space: {inside}" if place == OPTION and inside != path else f"{place}{path}"


def _explain(
    error: ValidationError, config_class: type[BaseModel], file: str, options: dict[str, Any]
) -> Iterator[str]:
    messages: dict[str, list[str]] = {}  # by path; several if a union has several members
    got: dict[str, str] = {}
    for mistake in error.errors():
        # pydantic adds the tried member of a union to the location, which is not a key.
        path = ".".join(str(key) for key in mistake["loc"] if not UNION_MEMBER.fullmatch(str(key)))
        message = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            message = _unknown_key(mistake, config_class)
        elif mistake["type"] == "value_error":
            # A validator of several fields starts its message with the one at fault.
            if blamed := KEY.match(message):
                path, message = f"{path}." * bool(path) + blamed[1], message[blamed.end() :]
        elif mistake["type"] in ("model_type", "model_attributes_type"):
            keys = list(_class_at(config_class, mistake["loc"]).model_fields)
            message = f"is a section; set a key of it, such as {path}.{keys[0]}" if keys else "must contain keys"
        else:
            message = _must_be(mistake)
            got[path] = f", got {_shown(mistake['input'])}{_hint(mistake)}"
        messages.setdefault(path, []).append(message)
    for path, alternatives in messages.items():
        message = " or ".join(dict.fromkeys(alternatives)).replace(" or must be ", " or ") + got.get(path, "")
        yield f"{_place(path, message, options, file)}: {message}"


def _place(path: str, message: str, options: dict[str, Any], file: str) -> str:
    """The option at fault, which may also be another one that the message names with its value; else the file."""
    given = flatten(options)
    if option := _set_by(path, dict.fromkeys(given, OPTION)):
        return _shown_at(option, path)
    beside = next((key for key, value in given.items() if _names(message, key, value)), None)
    inside = f"{file}: {path}" if file not in ("", ".") else path
    return f"{OPTION}{beside}: {path}" if beside else inside


def _names(message: str, key: str, value: object) -> bool:
    """Whether a message names a key, as "data.source" or "d_model 99", or its word, as "'fr'"."""
    spoken = rf"\b{key.rpartition('.')[2]} {re.escape(str(value))}\b" + rf"|\b{re.escape(key)}\b" * ("." in key)
    return re.search(spoken, message) is not None or f"'{value}'" in message


def _must_be(mistake: ErrorDetails) -> str:
    words = MUST_BE.get(mistake["type"])
    if words is None:
        return f"{mistake['msg'][0].lower()}{mistake['msg'][1:]}"
    limits = mistake.get("ctx", {})
    context = {key: f"{limit:g}" if isinstance(limit, float) else limit for key, limit in limits.items()}
    return f"must be {words.format(**context | {'expected': either(_expected(mistake) or [''])})}"


def _shown(value: object) -> str:
    return shortened(value if isinstance(value, str) else repr(value))


def _expected(mistake: ErrorDetails) -> list[str]:
    """The words that a key takes."""
    return re.findall(r"'([^']*)'", str(mistake.get("ctx", {}).get("expected", "")))


def describe_mistake(mistake: ErrorDetails) -> str:
    """The error in a value, without its key."""
    return f"it {_must_be(mistake)}{_hint(mistake)}"


def _hint(mistake: ErrorDetails) -> str:
    words = _expected(mistake)
    if words and isinstance(mistake["input"], bool):
        return "; YAML takes on, off, yes and no for true and false: quote the word"
    found = did_you_mean(str(mistake["input"]), words)
    return found if "did you mean" in found else ""


def _unknown_key(mistake: ErrorDetails, config_class: type[BaseModel]) -> str:
    *above, key = (str(part) for part in mistake["loc"])
    plain = [part for part in above if not UNION_MEMBER.fullmatch(part)]
    if plain[:1] == ["space"] and "." not in plain[-1]:
        return f"unknown key; a space has dotted paths: write {plain[1]}.{key}: …"
    if "." in key and plain[:1] != ["space"]:
        value = _shown(mistake["input"])
        for part in reversed(key.split(".")[1:]):
            value = f"{{{part}: {value}}}"
        return f"a key has no dots here; write {key.partition('.')[0]}: {value}"
    of_kind = TAG.fullmatch(above[-1]) if above else None
    siblings = list(_class_at(config_class, mistake["loc"][:-1]).model_fields)
    elsewhere = [] if plain else list(leaves(with_all_settings(config_class)))
    near = did_you_mean(key, [*siblings, *elsewhere]) or did_you_mean(key, siblings)
    return f"{f'no setting of {of_kind[1]}' if of_kind else 'unknown key'}{near}"


def _class_at(config_class: type[BaseModel], place: tuple[str | int, ...]) -> type[BaseModel]:
    """The class with the valid keys at the place of an error; BaseModel, which has none, if not known."""
    kinds: Kinds[Any] | None = None
    for key in place:
        field = config_class.model_fields.get(str(key))
        if kinds is not None and (named := TAG.fullmatch(str(key))):
            config_class, kinds = kinds[named[1]], None
        elif issubclass(config_class, RootModel):
            member = get_args(config_class.model_fields["root"].annotation)[-1]
            config_class, kinds = get_args(member) if get_origin(member) is Annotated else (member, None)
        elif field is not None and is_config(field.annotation):
            config_class, kinds = field.annotation, kinds_of(field)
        else:
            return BaseModel
    return config_class
