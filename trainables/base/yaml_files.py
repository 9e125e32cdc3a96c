"""Configurations as YAML files."""

import math
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from trainables.base.errors import UserError, shortened
from trainables.base.files import read_text
from trainables.base.renaming import with_new_names

LARGEST = 1_000_000  # bytes of a configuration
MOST_VALUES = 100_000  # values of a configuration, with its aliases expanded


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a user's YAML file, with renamed keys under their new names. Raises UserError."""
    return with_new_names(read_stored(file), file)


def read_stored(file: Path, option: str = "--config") -> dict[str, Any]:
    """The mapping in a YAML file, unchanged. Raises UserError; option: the one that names the file."""
    try:
        tree = yaml.load(read_text(file, LARGEST), _UniqueKeys)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}; name an existing YAML file with {option}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: not a text file; {option} takes YAML") from None
    except yaml.MarkedYAMLError as error:
        raise UserError(_place(file, error)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{file}: not valid YAML: {shortened(' '.join(str(error).split()))}") from None
    except RecursionError:
        raise UserError(f"{file}: not valid YAML: it is nested too deeply") from None
    if not isinstance(tree, dict | None):
        raise UserError(f"{file}: must contain keys and values, such as `seed: 1`, not a {type(tree).__name__}")
    return tree or {}


def _place(file: Path, error: yaml.MarkedYAMLError) -> str:
    """The error in a file, with its line."""
    mark, problem = error.problem_mark, error.problem or error.context or "can't be read"
    if mark is None:
        return f"{file}: not valid YAML: {problem}"
    if "stream end" in problem or "end of stream" in problem:  # the place where it began says more
        mark, problem = error.context_mark or mark, f"{error.context}: it does not end"
    elif "'\\t'" in problem:
        problem = "a tab; indent by spaces"
    lines = read_text(file).splitlines()
    line = lines[mark.line].strip() if mark.line < len(lines) else ""
    return f"{file}: line {mark.line + 1}: not valid YAML: {problem}: {shortened(line)}"


def dump_yaml(value: BaseModel) -> str:
    """A configuration as YAML, with all its keys."""
    return yaml.safe_dump(value.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses duplicate keys, and aliases that expand to too many values.

    YAML forbids duplicate keys; the loader alone would silently drop the first.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node and _count_values(node, {}) > MOST_VALUES:
            raise yaml.constructor.ConstructorError(problem=f"its aliases stand for more than {MOST_VALUES:,} values")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    problem="a key must be text; quote other text, as in '{{ name }}'",
                    problem_mark=key.start_mark,
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _count_values(node: yaml.Node, known: dict[int, float]) -> float:
    """The number of values in a node with aliases expanded; infinite if it contains itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        below = node.value if isinstance(node, yaml.CollectionNode) else ()
        pairs = isinstance(node, yaml.MappingNode)
        known[id(node)] = 1 + sum(_count_values(each[1] if pairs else each, known) for each in below)
    return known[id(node)]
