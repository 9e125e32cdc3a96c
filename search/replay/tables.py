"""Tables of trained systems: configurations, scores, learning curves."""

import csv
from dataclasses import dataclass
from pathlib import Path

from search.samplers.base import Task
from search.space import Domain, Params, Scalar, SearchSpace
from trainables.errors import UserError

SETTINGS = ("bpe_symbols", "num_layers", "num_embed", "ffn_hidden", "attention_heads", "initial_lr")


@dataclass(frozen=True)
class Table:
    """Systems by configuration, with the score that the search is to find the highest of."""

    name: str
    scores: dict[str, float]  # key of a configuration -> score
    configurations: list[Params]
    space: SearchSpace

    def task(self, seed: int) -> Task:
        """The search in which only rows of the table are trials."""
        return Task(self.space, lambda params: params if self.space.key(params) in self.scores else None, seed)

    def score(self, params: Params) -> float:
        return self.scores[self.space.key(params)]


def make_table(name: str, rows: list[tuple[Params, float]]) -> Table:
    """A table of these rows; of equal configurations the first counts."""
    values: dict[str, list[Scalar]] = {path: [] for path in rows[0][0]}
    for params, _ in rows:
        for path, value in params.items():
            if value not in values[path]:
                values[path].append(value)
    space = SearchSpace({path: Domain(values=tuple(listed)) for path, listed in values.items()})
    scores: dict[str, float] = {}
    configurations = []
    for params, score in rows:
        if (key := space.key(params)) not in scores:
            scores[key] = score
            configurations.append(params)
    return Table(name, scores, configurations, space)


def read_systems(file: Path) -> Table:
    """nmthpo_PAIR.csv: a row a trained system. Raises UserError."""
    rows: list[tuple[Params, float]] = []
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                rows.append(({path: _number(row[path]) for path in SETTINGS}, float(row["dev_bleu"])))
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{file}: no table of systems: {error}; it needs columns {', '.join(SETTINGS)}") from None
    return make_table(file.stem, rows)


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value
