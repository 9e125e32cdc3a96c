"""Scores the finalists of a search on further tests, after its ranking, which stays as it is."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from search.finals.board import LeaderboardEntry, read_leaderboard
from search.finals.leaderboard import compare_beside
from search.finals.significance import Evidence
from search.finals.stages import FinalModel, TestMetric
from search.settings.experiment import Experiment
from search.translation.final_metrics import FinalMetrics, Score
from search.translation.finals_config import Decoding
from search.translation.ranked import models_to_load
from search.translation.scoring import known_on_test, signatures_on
from search.translation.systems import Systems
from trainables.base.data_config import DataConfig, test_key
from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.log import say
from trainables.base.sealing import read_sealed, write_sealed
from trainables.base.translator_config import as_translator
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.corpus import digest_test, read_test

FOLDER = "scores"  # in the run, with a file for each test


@dataclass(frozen=True)
class LaterTest:
    """The scores of all finalists on a test that the search did not have."""

    name: str
    pairs: int
    file: Path
    ranking: list[LeaderboardEntry]  # of the search
    scores: dict[str, list[float]]  # by metric: for each entry the mean over its seeds
    evidence: dict[str, Evidence]  # by metric
    metrics: dict[str, TestMetric]


def score_later(experiment: Experiment, data: DataConfig) -> Iterator[LaterTest]:
    """Score the finalists on each test of the data, by all metrics of the search, and keep the scores in the run.

    Each opening is recorded, as those of the search are. Raises UserError.
    """
    run_dir, config = experiment.run_dir, as_translator(experiment.trial)
    if not (run_dir / "leaderboard.json").is_file():
        raise UserError(f"{run_dir}: has no ranking yet; resume it first")
    if (data.source, data.target) != (config.data.source, config.data.target):
        raise UserError(
            f"score: the models translate {config.data.source} to {config.data.target}; name no other languages"
        )
    ranking = read_leaderboard(run_dir / "leaderboard.json").ranking
    models = [models_to_load(experiment, entry, "restore it from a copy") for entry in ranking]
    train, metrics = cached_corpus(config.data, experiment.cache).train, FinalMetrics(experiment)
    for key, name in data.tests.items():
        facts = digest_test(data, train, key)
        file = run_dir / FOLDER / f"{test_key(name)}.json"
        if file.exists() and read_sealed(file)["sha256"] != facts["sha256"]:
            raise UserError(f"{file}: has the scores of another text of that name; rename the test, or move the file")
        yield _score_on(experiment, data, key, facts, file, ranking, models, metrics)


def _score_on(
    experiment: Experiment,
    data: DataConfig,
    key: str,
    facts: dict[str, Any],
    file: Path,
    ranking: list[LeaderboardEntry],
    models: list[list[FinalModel]],
    metrics: FinalMetrics,
) -> LaterTest:
    name = data.tests[key]
    test = read_test(data, experiment.run_dir, f"score: {name} of {data.path}", key)
    systems: Systems = experiment.definition.part("finals").systems
    texts = [[_translations(systems, model, test.source, experiment.cache) for model in each] for each in models]
    scores: dict[str, list[float]] = {}
    evidence: dict[str, Evidence] = {}
    described = {each: metrics.test_metric(Score(each, ("test",))) for each in metrics.names}
    for each, metric in described.items():
        found = [[(metrics[each].statistics(test, text),) for text in system] for system in texts]
        scores[each] = [float(np.mean([metric.of_sums(seed.sum(axis=0)) for (seed,) in system])) for system in found]
        if (compared := compare_beside(found, metric)) is not None:
            evidence[each] = compared
    record = {
        "test": name,
        "path": data.path,
        **facts,
        "scored_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "signatures": {**signatures_on(data, key), **metrics.described},
        "finalists": [
            {"rank": entry.rank, "trial": entry.trial, "seeds": entry.seeds, **_stored(place, scores, evidence)}
            for place, entry in enumerate(ranking)
        ],
        "comparisons": {
            each: [{**asdict(pair), "a": ranking[pair.a].trial, "b": ranking[pair.b].trial} for pair in one.comparisons]
            for each, one in evidence.items()
        },
    }
    make_folder(file.parent)
    write_sealed(file, record)
    return LaterTest(name, len(test), file, ranking, scores, evidence, described)


def _stored(place: int, scores: dict[str, list[float]], evidence: dict[str, Evidence]) -> dict[str, Any]:
    found: dict[str, Any] = {name: values[place] for name, values in scores.items()}
    found |= {f"{name}_ci": each.intervals[place] for name, each in evidence.items()}
    return found | {f"{name}_group": each.groups[place] for name, each in evidence.items()}


def _translations(systems: Systems, model: FinalModel, sources: list[str], cache: Path) -> list[str]:
    """The translations of a model, decoded as in the finals."""
    say(f"trial {model.trial}, seed {model.config.seed}: {len(sources):,} sentences are translated")
    known = known_on_test(model)
    decoding = known.decoding if known else Decoding(1, 1.0)
    return systems.load(model, cache).translate(sources, decoding)


def later_table(test: LaterTest) -> Table:
    """The scores for a terminal: the first metrics, with intervals and groups."""
    table = Table(title=f"On {test.name}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("rank", "trial", *(metric.short for metric in test.metrics.values())):
        table.add_column(heading, justify="right", no_wrap=True)
    for place, entry in enumerate(test.ranking):
        cells = [str(entry.rank), str(entry.trial)]
        for name, metric in test.metrics.items():
            cell = metric.metric.show(test.scores[name][place])
            if name in test.evidence:
                low, high = test.evidence[name].intervals[place]
                digits = max(0, metric.metric.digits - 1)
                cell += f" ({low:.{digits}f}–{high:.{digits}f})"
            cells.append(cell)
        table.add_row(*cells)
    return table
