"""Tables of trained systems: configurations, final scores, learning curves."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

from search.samplers import Task
from search.settings.wording import count
from search.space.domain import Belief, Domain, Scalar
from search.space.space import Params, SearchSpace
from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import parse_json, read_bytes, read_text
from trainables.base.outcomes import Outcome

# Columns of the files by Zhang and Duh (2020, 2024) that define a system; the others were measured.
SYSTEM = ("bpe_symbols", "num_layers", "num_embed", "ffn_hidden", "attention_heads", "initial_lr")
SCRATCH = ("bpe_k", "num_layers", "num_embed", "ffn_hidden", "attention_heads", "initial_lr")
FINETUNE = ("basemodel", "model_size", "num_layers", "lora_rank", "batch_size", "initial_lr")


@dataclass(frozen=True)
class System:
    """A trained system."""

    params: Params
    score: float  # the final score; higher is better
    curve: tuple[float, ...] = ()  # the best value so far at each checkpoint; higher is better
    comparable: Scalar = None  # curves can be compared between systems with the same value


@dataclass(frozen=True)
class Table:
    """The systems of a search in which all were trained."""

    name: str
    systems: dict[str, System] = field(repr=False)  # by the key of their configuration
    space: SearchSpace

    @property
    def best(self) -> float:
        """The highest score of a system."""
        return max(system.score for system in self.systems.values())

    @property
    def median(self) -> float:
        """The median score of all systems."""
        return median(system.score for system in self.systems.values())

    @property
    def length(self) -> int:
        """The number of checkpoints of the median run."""
        return int(median(len(system.curve) for system in self.systems.values()))

    def system(self, params: Params) -> System:
        """The system with these hyperparameters. Raises KeyError."""
        return self.systems[self.space.key(params)]

    def believing(self, beliefs: Mapping[str, Belief]) -> "Table":
        """The table with beliefs in its space, as `belief` in that of a search. Raises UserError."""
        domains = dict(self.space.domains)
        for path, belief in beliefs.items():
            if path not in domains:
                raise UserError(
                    f"--beliefs: {path} is no hyperparameter of {self.name}{did_you_mean(path, [*domains])}"
                )
            try:
                domains[path].take(belief.value)
            except ValueError as error:
                raise UserError(f"--beliefs.{path}.value: {error}") from None
            domains[path] = Domain(values=domains[path].values, belief=belief)
        return replace(self, space=SearchSpace(domains))

    def task(self, seed: int) -> Task:
        """A search in which only systems of the table are valid trials."""
        return Task(self.space, lambda params: params if self.space.key(params) in self.systems else None, seed)


def make_table(name: str, systems: list[System]) -> Table:
    """Make a table; of systems with equal configurations it has the first."""
    values: dict[str, list[Scalar]] = {}
    for system in systems:
        for path, value in system.params.items():
            if value not in values.setdefault(path, []):
                values[path].append(value)
    space = SearchSpace({path: Domain(values=tuple(listed)) for path, listed in values.items()})
    by_key: dict[str, System] = {}
    for system in systems:
        by_key.setdefault(space.key(system.params), system)
    return Table(name, by_key, space)


def read_systems(file: Path) -> Table:
    """Read nmthpo_PAIR.csv: a row for each system, with its BLEU on the development set. Raises UserError."""
    try:
        rows = list(csv.DictReader(StringIO(read_text(file), newline="")))
        systems = [System({path: _number(row[path]) for path in SYSTEM}, float(row["dev_bleu"])) for row in rows]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _unreadable(file, f"columns {', '.join(SYSTEM)}, dev_bleu", error) from None
    return make_table(file.stem, systems)


def read_curves(file: Path) -> Table:
    """Read nmtlc_scratch_PAIR.json (perplexity at each checkpoint) or nmtlc_finetune_PAIR.json (BLEU).

    Perplexity is per token, so its curves can only be compared within a vocabulary. Runs without a final BLEU are left
    out; if there is only a curve of BLEU, its maximum is the final BLEU. Raises UserError.
    """
    try:
        content = parse_json(read_bytes(file))
        systems = [_system(run) for run in content["runs"] if run.get("dev_bleu_final") or run.get("dev_bleu_curve")]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _unreadable(
            file, 'a list "runs" with dev_ppl_curve and dev_bleu_final, or dev_bleu_curve', error
        ) from None
    return make_table(file.stem, systems)


def _system(run: dict[str, Any]) -> System:
    if "dev_bleu_curve" in run:
        curve = [float(bleu) for bleu in run["dev_bleu_curve"]]
        params = {path: run[path] for path in FINETUNE}
        return System(params, run.get("dev_bleu_final") or max(curve), _best_so_far(curve))
    curve = [-math.log(perplexity) for perplexity in run["dev_ppl_curve"]]
    params = {path: run[path] for path in SCRATCH}
    return System(params, run["dev_bleu_final"], _best_so_far(curve), run["bpe_k"])


def read_run(run_dir: Path) -> Table:
    """Read the trials of a finished search that were trained to the end. Raises UserError."""
    from search.run_directory.checking import open_run  # imports Optuna, which tables don't need

    _, study = open_run(run_dir)
    sign = 1 if study.maximize else -1
    systems = [
        System(trial.params, sign * trial.value, _best_so_far([sign * score for score in trial.scores.values()]))
        for trial in study.trials.values()
        if trial.outcome == Outcome.COMPLETED and trial.value is not None
    ]
    study.close()
    if len(systems) < 3:
        raise UserError(
            f"{run_dir}: {count(len(systems), 'trial was', 'trials were')} trained to the end; replay needs three"
        )
    return make_table(run_dir.name, systems)


def _best_so_far(curve: list[float]) -> tuple[float, ...]:
    return tuple(accumulate(curve, max))


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _unreadable(file: Path, needed: str, error: Exception) -> UserError:
    reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return UserError(f"{file}: not a table of systems ({reason}); it needs {needed}")
