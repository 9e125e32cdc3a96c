"""Code that a configuration names as `module:Name`: it is only imported when it is needed."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError

NAME = r"^[^\W\d][\w.]*:[^\W\d]\w*$"


def import_named(name: str, key: str) -> Any:
    """The object of that name, also from the working directory; key: the key that names it.

    Raises UserError.
    """
    module, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the module raises
        raise UserError(
            f"{key}: {name} can't be imported: {type(error).__name__}: {error}; install it, or start where its file is"
        ) from None


def import_callable(name: str, key: str) -> Callable[..., Any]:
    """The function or class of that name. Raises UserError."""
    found = import_named(name, key)
    if not callable(found):
        raise UserError(f"{key}: {name} is not a function or class")
    called: Callable[..., Any] = found
    return called


def file_of(name: str) -> Path | None:
    """The source file of the module in a name; None if it has none, or was not imported."""
    found = getattr(sys.modules.get(name.partition(":")[0]), "__file__", None)
    return Path(found) if found else None
