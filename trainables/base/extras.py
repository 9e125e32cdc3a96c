"""Packages that only some searches need: a missing one is reported before anything starts."""

from importlib.util import find_spec

from trainables.base.errors import UserError


def need_extra(extra: str, package: str, module: str, what: str) -> None:
    """Raises UserError if the module of a package is missing; what: the key and value that need it."""
    if find_spec(module) is None:
        raise UserError(f"{what}: {missing_extra(extra, package)}")


def missing_extra(extra: str, package: str) -> str:
    """What to do if a package of an extra is not installed; part of a message."""
    return f"needs {package}, which is not installed: pip install 'babeltune[{extra}]'"
