"""The forms of `parameters` in a W&B sweep, written as those that a `Domain` has."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

# W&B's ranges over exponents of e, and the distribution over values that each is.
EXPONENTS = {
    "log_uniform": "log_uniform_values",
    "q_log_uniform": "q_log_uniform_values",
    "inv_log_uniform": "log_uniform_values",
}
UNBOUNDED = ("normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta")


def read_form(form: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a domain for one of W&B's forms. Raises ValueError for a form that makes no sense here."""
    fields = dict(form)
    distribution = fields.get("distribution")
    if not isinstance(distribution, str | None):
        return fields  # the domain says what it must be
    if "value" in fields or distribution == "constant":
        raise ValueError("value: is one value, nothing to search; set the key outside of space")
    if distribution in UNBOUNDED or "mu" in fields or "sigma" in fields:
        raise ValueError(_bounded(fields))
    if fields.get("q") is not None and distribution is None and "values" not in fields:
        fields["distribution"] = "q_uniform"
    if distribution == "categorical_w_probabilities":
        fields["distribution"] = "categorical"
    if distribution == "inv_log_uniform_values":  # the logarithm of 1 / x is as uniform as that of x
        fields["distribution"] = "log_uniform_values"
    if distribution in EXPONENTS:
        fields |= _from_exponents(str(distribution), fields)
    return fields


def sweep_form(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The form of a domain in a sweep that W&B accepts; the inverse of `read_form`.

    fields: those of a domain that are set.
    """
    form = dict(fields)
    if "q" in form and not str(form.get("distribution", "")).startswith("q_"):
        form["distribution"] = "q_uniform"
    if "min" in form and "distribution" not in form:
        whole = isinstance(form["min"], int) and isinstance(form["max"], int)
        form["distribution"] = "int_uniform" if whole else "uniform"
    return form


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested `parameters` as one mapping by dotted paths. Raises ValueError if a path is given twice."""
    flattened: dict[str, Any] = {}
    for path, form in _walk(tree, prefix):
        if path in flattened:
            raise ValueError(f"{path}: is given twice; drop one of them")
        flattened[path] = form
    return flattened


def _walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, form in tree.items():
        if isinstance(form, Mapping) and isinstance(form.get("parameters"), Mapping):
            if others := [key for key in form if key != "parameters"]:
                raise ValueError(f"{prefix}{name}: has {', '.join(map(str, others))} beside parameters; drop either")
            yield from _walk(form["parameters"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", form


def take_constants(tree: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The forms of a space without its constants, and the value of each constant. Raises ValueError."""
    forms = flat(tree)
    constants = {path: form["value"] for path, form in forms.items() if _is_constant(form)}
    for path, value in constants.items():
        if isinstance(value, list | tuple):
            raise ValueError(f"space.{path}: value is one value, not a list; write {{values: {list(value)}}}")
        if others := sorted(map(str, {*forms[path]} - {"value", "distribution"})):
            raise ValueError(f"space.{path}: has {', '.join(others)} beside value; drop either")
    return {path: form for path, form in forms.items() if path not in constants}, constants


def _is_constant(form: Any) -> bool:
    return isinstance(form, Mapping) and "value" in form and form.get("distribution") in (None, "constant")


def _from_exponents(distribution: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    ends = [fields.get("min"), fields.get("max")]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise ValueError(f"distribution: {distribution} needs min and max, which are exponents of e")
    low, high = (float(end) for end in ends if end is not None)
    if distribution.startswith("inv_"):
        low, high = -high, -low
    try:
        low, high = math.exp(low), math.exp(high)
    except OverflowError:
        low = math.inf
    if math.inf in (low, high) or low == 0:
        raise ValueError(
            f"min: {distribution} takes exponents of e, and e to the power of these is no number; "
            f"for the ends themselves write distribution: {EXPONENTS[distribution]}"
        )
    return {"distribution": EXPONENTS[distribution], "min": low, "max": high}


def _bounded(fields: Mapping[str, Any]) -> str:
    """The message for a distribution without bounds, with what to write instead."""
    distribution = fields.get("distribution", "mu and sigma")
    mu, sigma, step = (fields.get(name) for name in ("mu", "sigma", "q"))
    instead = "{min: LOW, max: HIGH}"
    if isinstance(mu, int | float) and isinstance(sigma, int | float) and "beta" not in str(distribution):
        low, high = mu - 2 * sigma, mu + 2 * sigma
        log = "log_" in str(distribution)
        if log and abs(low) < math.log(1e300) and abs(high) < math.log(1e300):
            low, high = math.exp(low), math.exp(high)
        kind = f"{'q_' if step else ''}{'log_uniform_values' if log else 'uniform'}"
        ends = f"min: {low:.3g}, max: {high:.3g}, distribution: {kind}"
        instead = f"{{{ends}{f', q: {step:g}' if isinstance(step, int | float) else ''}}}"
    return f"distribution: {distribution} has no bounds, which a search needs; write {instead}"
