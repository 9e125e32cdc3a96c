"""Values to a configuration; mistakes to messages with the file or option, the key, and what would be right."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from trainables.base.config import flatten
from trainables.base.errors import UserError, did_you_mean, shortened
from trainables.base.kinds import TAG, Kinds, is_config, kinds_of

T = TypeVar("T", bound=BaseModel)
UNION_MEMBER = re.compile(r"(constrained-)?(int|float|bool|str)|(literal|tuple|kind)\[.*\]")


def validate(config_class: type[T], tree: dict[str, Any], file: str, options: dict[str, Any] | None = None) -> T:
    """Build the value, or raise UserError with a line for each mistake."""
    try:
        return config_class.model_validate(tree)
    except ValidationError as error:
        raise UserError("\n".join(_explain(error, config_class, file, options or {}))) from None


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
            got[path] = f", got {shortened(repr(mistake['input']))}"
        messages.setdefault(path, []).append(message)
    for path, alternatives in messages.items():
        optional = any(f"{path}.".startswith(f"{key}.") or key.startswith(f"{path}.") for key in given)
        where = f"--{path}" if optional else f"{file}: {path}" if file not in ("", ".") else path
        yield f"{where}: {' or '.join(dict.fromkeys(alternatives))}{got.get(path, '')}"


def _siblings(config_class: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    """The keys at a place of a mistake."""
    kinds: Kinds[Any] | None = None
    for key in place:
        field = config_class.model_fields.get(str(key))
        if kinds is not None and (named := TAG.fullmatch(str(key))):
            config_class = kinds[named[1]]
        elif field is not None and is_config(field.annotation):
            config_class, kinds = field.annotation, kinds_of(field)
        else:
            return []
    return list(config_class.model_fields)
