"""Packages that only some searches need: what is missing is said in one sentence, before anything starts."""

from importlib.util import find_spec

from trainables.base.errors import UserError


def need_extra(extra: str, package: str, module: str, what: str) -> None:
    """Raises UserError where the module of a package is missing; what: the key and value that ask for it."""
    if find_spec(module) is None:
        raise UserError(f"{what}: {missing_extra(extra, package)}")


def missing_extra(extra: str, package: str) -> str:
    """What to do where a package of an extra is not installed; part of a message."""
    return f"needs {package}, which is not installed: pip install 'babeltune[{extra}]'"
