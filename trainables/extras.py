"""Packages that only some searches need: what is missing is said in one sentence, before anything starts."""


def missing_extra(extra: str, package: str) -> str:
    """What to do where a package of an extra is not installed; part of a message."""
    return f"needs {package}, which is not installed: pip install 'babeltune[{extra}]'"
