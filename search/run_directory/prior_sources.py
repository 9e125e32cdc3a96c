"""Reads a prior from run directories and tables, and keeps a copy of their content in the run."""

import csv
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from search.samplers.evidence import gather
from search.samplers.prior import Findings, Prior, known
from search.settings.experiment import Experiment
from search.space.domain import Scalar
from search.space.space import Params
from trainables.base.config import flatten
from trainables.base.errors import UserError
from trainables.base.files import parse_json, read_bytes
from trainables.base.sealing import read_sealed, write_sealed

KEPT = "prior.json"
SCORES = ("score", "valid_bleu", "dev_bleu")  # the score is the first of these columns that a table has
WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "none": None, "": None}


@dataclass(frozen=True)
class Source:
    """An earlier search: its configurations and their scores, higher is better."""

    path: str
    findings: Findings


def find_prior(experiment: Experiment) -> Prior | None:
    """The prior from the sources in `search.sampler.prior`; None without any.

    Raises UserError for a source that varies no hyperparameter of the space.
    """
    return _make_prior(experiment, find_sources(experiment))


def keep_prior(experiment: Experiment) -> Prior | None:
    """The prior. Its sources are copied into the run, so that later changes to them have no effect."""
    sources = find_sources(experiment)
    prior = _make_prior(experiment, sources)
    if prior is not None:
        write_sealed(experiment.run_dir / KEPT, {"sources": [asdict(source) for source in sources]})
    return prior


def _make_prior(experiment: Experiment, sources: list[Source]) -> Prior | None:
    for source in sources:
        if not known(experiment.space, source.findings):
            raise UserError(
                f"search.sampler.prior: {source.path}: none of the space's hyperparameters varies in its "
                f"{len(source.findings)} configurations; the space has {', '.join(experiment.space.domains) or 'none'}"
            )
    return Prior(experiment.space, [source.findings for source in sources]) if sources else None


def find_sources(experiment: Experiment) -> list[Source]:
    """The run's copy of the sources, if it has these; otherwise the sources themselves. Raises UserError."""
    kept = experiment.run_dir / KEPT if experiment.name else None
    if kept and kept.exists():
        sources = [Source(s["path"], [(params, score) for params, score in s["findings"]]) for s in _load(kept)]
        if tuple(source.path for source in sources) == experiment.search.sampler.sources:
            return sources
    return [Source(path, _read(Path(path))) for path in experiment.search.sampler.sources or ()]


def _load(kept: Path) -> list[dict[str, Any]]:
    content = read_bytes(kept).decode(errors="replace")
    if content.startswith("["):  # written by version 0.1
        with suppress(ValueError):
            old: list[dict[str, Any]] = parse_json(content)
            return old
    sources: list[dict[str, Any]] = read_sealed(kept)["sources"]
    return sources


def _read(path: Path) -> Findings:
    if not path.exists():
        raise UserError(f"search.sampler.prior: {path} does not exist; name a run directory or a CSV table")
    return read_run(path) if path.is_dir() else read_table(path)


def read_run(run_dir: Path) -> Findings:
    """The trials of a search that ended with a score, or were stopped but allow a forecast.

    A configuration has all fields that the trial used, with those of the base. Raises UserError.
    """
    from search.run_directory.checking import open_run  # imports Optuna, which most searches only need later

    experiment, study = open_run(run_dir)
    evidence = gather(study)
    study.close()
    findings: Findings = []
    seen: set[str] = set()
    for params, score in zip(evidence.configurations, evidence.scores.tolist(), strict=True):
        if (key := experiment.space.key(params)) in seen:  # a forecast for a finished trial
            continue
        seen.add(key)
        config = experiment.trial.with_values(params)
        used = {path: value for path, value in flatten(config.model_dump()).items() if path not in config.unused}
        findings.append((used, score))
    return findings


def read_table(file: Path) -> Findings:
    """Read a CSV table with a row for each configuration. Raises UserError."""
    try:
        table = csv.DictReader(StringIO(read_bytes(file).decode("utf-8-sig"), newline=""))
        score = next((name for name in SCORES if name in (table.fieldnames or ())), None)
        if score is None:
            raise UserError(f"search.sampler.prior: {file}: has no column of scores; call it {' or '.join(SCORES)}")
        return [(_params(row, score), _finite(row[score])) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error, TypeError, ValueError) as error:
        raise UserError(f"search.sampler.prior: {file}: can't be read as a CSV table: {error}") from None


def _params(row: dict[str, str], score: str) -> Params:
    return {name: _value(text) for name, text in row.items() if name != score and isinstance(text, str)}


def _finite(text: str) -> float:
    if not math.isfinite(score := float(text)):
        raise ValueError(f"{text} is not a finite score")
    return score


def _value(text: str) -> Scalar:
    if text.strip().lower() in WORDS:
        return WORDS[text.strip().lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()
