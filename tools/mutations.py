"""Small errors in Python code, one at a time, for `tools/mutants.py`."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
PAIRS = (  # names that are easily confused
    ("min", "max"),
    ("any", "all"),
    ("argmin", "argmax"),
    ("minimum", "maximum"),
    ("floor", "ceil"),
    ("zeros", "ones"),
    ("source", "target"),
    ("train", "valid"),
    ("valid", "test"),
    ("rows", "columns"),
    ("first", "last"),
    ("mean", "sum"),
    ("exp", "log"),
    ("clamp_min", "clamp_max"),
    ("union", "intersection"),
)
SWAPS = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
LEFT_ALONE = {"annotation", "returns", "decorator_list", "type_params"}  # types and definitions of classes


@dataclass(frozen=True)
class Mutant:
    """A module with one error."""

    file: str
    line: int
    code: str  # that line
    change: str  # "a < b → a <= b"
    source: str  # the whole module

    @property
    def key(self) -> tuple[str, str, str]:
        """A key that stays the same when lines are added elsewhere."""
        return self.file, self.code, self.change

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}"


def mutants(file: str, source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree, lines, found = ast.parse(source), source.splitlines(), []
    for holder, field, place, node in _places(tree):
        for other in _mistakes(node):
            _put(holder, field, place, ast.fix_missing_locations(ast.copy_location(other, node)))
            change = f"{_words(node)} → {_words(other)}"
            line = getattr(node, "lineno", 0) or getattr(holder, "lineno", 1)
            found.append(Mutant(file, line, lines[line - 1].strip(), change, f"{ast.unparse(tree)}\n"))
            _put(holder, field, place, node)
    return sorted((mutant for mutant in found if mutant.source != ast.unparse(tree)), key=lambda each: each.line)


def _places(holder: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Each node with its place: its parent, the field, and the index in a list."""
    for field, value in ast.iter_fields(holder):
        if field in LEFT_ALONE or (isinstance(holder, ast.Raise) and field == "exc"):
            continue
        for place, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert)) or not isinstance(node, ast.AST):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            yield holder, field, place, node
            yield from _places(node)


def _put(holder: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(holder, field, node)
    else:
        getattr(holder, field)[place] = node


def _mistakes(node: ast.AST) -> Iterator[ast.AST]:
    """The errors that could replace a node."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                for kind in COMPARISONS[type(operator)]:
                    yield _with(node, ops=[*node.ops[:place], kind(), *node.ops[place + 1 :]])
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.BoolOp():
            yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for place in range(len(node.values)):
                rest = [*node.values[:place], *node.values[place + 1 :]]
                yield rest[0] if len(rest) == 1 else _with(node, values=rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Constant(value=bool(truth)):
            yield ast.Constant(not truth)
        case ast.Constant(value=int(number)):
            yield ast.Constant(number + 1)
        case ast.Constant(value=float(number)):
            yield ast.Constant(number * 2 or 1.0)
        case ast.Name() if node.id in SWAPS and isinstance(node.ctx, ast.Load):
            yield _with(node, id=SWAPS[node.id])
        case ast.Attribute() if node.attr in SWAPS and isinstance(node.ctx, ast.Load):
            yield _with(node, attr=SWAPS[node.attr])
        case ast.Call():
            yield from _other_calls(node)
        case ast.IfExp():
            yield from (node.body, node.orelse)
        case ast.If() | ast.While():
            yield _with(node, test=ast.Constant(False))
            if isinstance(node, ast.If):
                yield _with(node, test=ast.Constant(True))
        case ast.comprehension() if node.ifs:
            for place in range(len(node.ifs)):
                yield _with(node, ifs=[*node.ifs[:place], *node.ifs[place + 1 :]])
        case ast.Slice():
            yield from _other_slices(node)
        case ast.Return() if node.value and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield _with(node, value=ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.AugAssign() | ast.Delete():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _other_calls(node: ast.Call) -> Iterator[ast.AST]:
    """A call without one of its keywords, with two arguments swapped, or sorted in the other direction."""
    for place, keyword in enumerate(node.keywords):
        if keyword.arg not in (None, "description", "encoding", "where"):
            yield _with(node, keywords=[*node.keywords[:place], *node.keywords[place + 1 :]])
    if len(node.args) >= 2 and not any(isinstance(each, ast.Starred) for each in node.args[:2]):
        first, second, *rest = node.args
        yield _with(node, args=[second, first, *rest])
    backwards = [keyword.arg for keyword in node.keywords] == ["reverse"]
    if isinstance(node.func, ast.Name) and node.func.id == "sorted" and not backwards:
        yield _with(node, keywords=[*node.keywords, ast.keyword("reverse", ast.Constant(True))])


def _other_slices(node: ast.Slice) -> Iterator[ast.AST]:
    """A slice off by one at either end. Constants are mutated elsewhere."""
    for end in ("lower", "upper"):
        bound = getattr(node, end)
        if bound is not None and not isinstance(bound, ast.Constant):
            yield _with(node, **{end: ast.BinOp(bound, ast.Add(), ast.Constant(1))})
            yield _with(node, **{end: None})


def _with(node: ast.AST, **fields: object) -> ast.AST:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def _words(node: ast.AST) -> str:
    """The code of a node on one line; for a block, its first line."""
    code = ast.unparse(node).strip()
    lines = code.splitlines()
    return code if len(lines) == 1 else f"{lines[0]} …"
