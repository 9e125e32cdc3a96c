"""The user's conditions on trials, `search.where`: read by a small grammar, and never run as code.

A condition compares fields of a trial, numbers and words: `model.encoder_layers >= model.decoder_layers`. It may have
`and`, `or`, `not`, `in (…)`, `+ - * / // %` and parentheses, as in Python.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from trainables.base.config import TrialConfig, flatten
from trainables.base.errors import did_you_mean

Values = Mapping[str, Any]  # dotted path -> value

COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", lambda value, values: value in values),
    ast.NotIn: ("not in", lambda value, values: value not in values),
}
SAME = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)  # these compare values of any types
CALCULATIONS: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
}
MOST_NODES = 200
EXAMPLE = "model.encoder_layers >= model.decoder_layers"


class Nothing(Exception):
    """A value is null, or a divisor is 0, so the condition does not hold."""


@dataclass(frozen=True)
class Condition:
    """A condition on a trial."""

    text: str
    paths: tuple[str, ...]  # the fields that it names
    _holds: Callable[[Values], Any]

    def holds(self, values: Values) -> bool:
        """Whether it holds for these values of the fields. Raises ValueError for values that can't be compared."""
        try:
            return bool(self._holds(values))
        except Nothing:
            return False

    def allows(self, trial: TrialConfig) -> bool:
        """Whether the trial meets it; values that can't be compared meet no condition."""
        try:
            return self.holds({path: _look_up(trial, path) for path in self.paths})
        except ValueError:
            return False


def read_condition(text: str, known: Collection[str]) -> Condition:
    """Read a condition. known: the fields that it may name. Raises ValueError."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f'{text!r}: is not understood; write a comparison such as "{EXAMPLE}"') from None
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        raise ValueError(f"{text[:40]!r}…: is too long; write several conditions, which must all hold")
    reader = _Reader(text, known)
    holds = reader.truth(tree)
    if not reader.paths:
        raise ValueError(f"{text!r}: names no field of a trial, so it is the same for all; drop it")
    return Condition(text, tuple(dict.fromkeys(reader.paths)), holds)


def check_types(condition: Condition, trial: TrialConfig, changes: Collection[Values]) -> None:
    """Check that the condition can compare the values of a trial with such changes. Raises ValueError."""
    base = {path: _look_up(trial, path) for path in condition.paths}
    for change in ({}, *changes):
        condition.holds({**base, **{path: value for path, value in change.items() if path in base}})


class _Reader:
    """Turns a syntax tree into functions of the fields' values; the paths of the fields are noted."""

    def __init__(self, text: str, known: Collection[str]):
        self.text, self.known, self.paths = text, known, list[str]()

    def truth(self, node: ast.expr) -> Callable[[Values], Any]:
        match node:
            case ast.BoolOp(op, parts):
                made = [self.truth(part) for part in parts]
                joined = all if isinstance(op, ast.And) else any
                return lambda values: joined(part(values) for part in made)
            case ast.UnaryOp(ast.Not(), part):
                inner = self.truth(part)
                return lambda values: not inner(values)
            case ast.Compare(left, operators, others):
                sides = [self.value(side) for side in (left, *others)]
                pairs = [self._comparison(kind, *two) for kind, two in zip(operators, pairwise(sides), strict=True)]
                return lambda values: all(pair(values) for pair in pairs)
            case ast.Attribute() | ast.Name() | ast.Constant(bool()):
                flag = self.value(node)
                return lambda values: self._flag(flag(values))
        raise self._refused(node)

    def value(self, node: ast.expr) -> Callable[[Values], Any]:
        match node:
            case ast.Constant(bool() | int() | float() | str() | None as constant):
                return lambda values: constant
            case ast.Attribute() | ast.Name():
                path = self._path(node)
                return lambda values: values[path]
            case ast.Tuple(parts) | ast.List(parts):
                items = [self.value(part) for part in parts]
                return lambda values: [item(values) for item in items]
            case ast.UnaryOp(ast.USub(), part):
                inner = self.value(part)
                return lambda values: -self._number(inner(values))
            case ast.BinOp(left, kind, right) if type(kind) in CALCULATIONS:
                first, second, (_, calculate) = self.value(left), self.value(right), CALCULATIONS[type(kind)]

                def calculated(values: Values) -> Any:
                    try:
                        return calculate(self._number(first(values)), self._number(second(values)))
                    except (ZeroDivisionError, OverflowError):
                        raise Nothing from None

                return calculated
        raise self._refused(node)

    def _comparison(
        self, kind: ast.cmpop, left: Callable[[Values], Any], right: Callable[[Values], Any]
    ) -> Callable[[Values], bool]:
        if type(kind) not in COMPARISONS:
            raise self._refused(kind)
        sign, compare = COMPARISONS[type(kind)]

        def compared(values: Values) -> bool:
            one, other = left(values), right(values)
            if isinstance(kind, ast.In | ast.NotIn) and not isinstance(other, list):
                raise ValueError(f"{self.text!r}: after {sign} comes a list in parentheses, such as (1, 2)")
            if isinstance(kind, SAME):
                return compare(one, other)
            if one is None or other is None:
                raise Nothing
            if not (_is_number(one) and _is_number(other)):
                raise ValueError(f"{self.text!r}: {sign} compares numbers, and this compares {one!r} with {other!r}")
            return compare(one, other)

        return compared

    def _number(self, value: Any) -> Any:
        if value is None:
            raise Nothing
        if not _is_number(value):
            raise ValueError(f"{self.text!r}: calculates with {value!r}, which is no number")
        return value

    def _flag(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"{self.text!r}: {value!r} is neither true nor false; compare it with something")
        return value

    def _path(self, node: ast.expr) -> str:
        parts: list[str] = []
        at: ast.expr = node
        while isinstance(at, ast.Attribute):
            parts.append(at.attr)
            at = at.value
        if not isinstance(at, ast.Name):
            raise self._refused(node)
        path = ".".join([at.id, *reversed(parts)])
        if path not in self.known:
            hint = did_you_mean(path, [*self.known])
            raise ValueError(f"{self.text!r}: {path} names no field of a trial{hint or '; words stand in quotes'}")
        self.paths.append(path)
        return path

    def _refused(self, node: ast.AST) -> ValueError:
        shown = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__.lower()
        return ValueError(
            f"{self.text!r}: {shown!r} is not understood; a condition compares fields, numbers and words, "
            "with and, or, not, in, + - * / // % and parentheses"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _look_up(trial: TrialConfig, path: str) -> Any:
    """The value of a field of a trial; None if it has none, as a key of a free field may be missing."""
    value: Any = trial
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
        if hasattr(value, "root"):
            value = value.root
    return value


def known_fields(trial: TrialConfig) -> list[str]:
    """The dotted paths of a trial's fields."""
    return [*flatten(trial.model_dump())]
