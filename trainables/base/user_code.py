"""Code of the user's, named in a configuration as `module:Name`: nothing is imported unless it is asked for."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError

NAME = r"^[^\W\d][\w.]*:[^\W\d]\w*$"


def import_named(name: str, key: str) -> Callable[..., Any]:
    """The function or class of that name, from the working directory, too; key: the one that names it.

    Raises UserError.
    """
    module, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the module raises
        raise UserError(
            f"{key}: {name} can't be imported: {type(error).__name__}: {error}; install it, or start where its file is"
        ) from None
    if not callable(found):
        raise UserError(f"{key}: {name} is no function or class")
    called: Callable[..., Any] = found
    return called
