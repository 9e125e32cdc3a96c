"""Compares the best models of several runs on the test that they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from search.finals.board import Leaderboard, LeaderboardEntry, read_leaderboard
from search.finals.comparison import Comparison
from search.finals.leaderboard import compare_beside
from search.finals.significance import Evidence
from search.finals.stages import TestMetric
from search.run_directory.trust import check_trust
from search.settings.experiment import Experiment
from search.settings.wording import short_value
from search.translation.final_metrics import FinalMetrics, Score
from search.translation.ranked import ranked_models
from search.translation.scoring import known_on_test
from trainables.base.config import flatten
from trainables.base.errors import UserError
from trainables.base.installed import program
from trainables.base.sealing import read_sealed
from trainables.base.translator_config import TranslatorConfig, as_translator
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.corpus import digest_test, read_test

TEST = "test"  # the first test of a run
CODE = ("metrics", "finals.neural_metric")  # keys of a run that a comparison follows
SURE = 0.05  # p-values below this are called differences


@dataclass(frozen=True)
class ComparedRuns:
    """The best models of runs, by one metric on one test.

    Attributes:
        names: The runs.
        entries: Their best models, in the same order.
        metric: What they are compared by.
        scores: The mean of each over its seeds.
        evidence: Intervals, groups and paired tests, by places in the lists.
        differing: Keys whose values differ, each with the value of each run; None where a run lacks the key.
    """

    names: list[str]
    entries: list[LeaderboardEntry]
    metric: TestMetric
    scores: list[float]
    evidence: Evidence
    differing: dict[str, list[Any]]


def comparable(experiments: Sequence[Experiment], trusted: bool) -> Sequence[Experiment]:
    """The experiments. Raises UserError if they can't be compared: too few, not of translators, or not trusted."""
    if len({experiment.run_dir for experiment in experiments}) < 2:
        raise UserError(f"compare: name two or more runs, as in `{program('compare')} runs/A runs/B`")
    for experiment in experiments:
        if not issubclass(experiment.definition.config, TranslatorConfig):
            raise UserError(
                f"compare: {experiment.run_dir} is a search for {experiment.definition.title}, which does not translate"
            )
        if not trusted:
            check_trust(experiment, (), CODE)
    return experiments


def compare_runs(experiments: Sequence[Experiment]) -> ComparedRuns:
    """Compare the models in `best/` of runs by the metric of the first one, over their seeds and the test's sentences.

    It uses the translations that the finals kept, and reads the references, which is recorded as an opening of the test
    in the first run. Raises UserError if a run has no ranking, or another test.
    """
    first = experiments[0]
    boards = [_board(experiment) for experiment in experiments]
    data = as_translator(first.trial).data
    _check_tests(experiments)
    names = [experiment.run_dir.name for experiment in experiments]
    test = read_test(data, first.run_dir, f"compare: {', '.join(names)}", TEST)
    metrics = FinalMetrics(first)
    score = Score(metrics.ranked_by.metric, (TEST,))
    metric, compute = metrics.test_metric(score), metrics[score.metric]
    found = []
    for experiment, board in zip(experiments, boards, strict=True):
        results = [known_on_test(model) for model in ranked_models(experiment, board.best)]
        if missing := [result for result in results if result is None]:
            raise UserError(f"{experiment.run_dir}: lacks {len(missing)} of the results of its finals; resume it")
        found.append([(compute.statistics(test, result.translations),) for result in results if result])
    evidence = compare_beside(found, metric)
    if evidence is None:
        raise UserError(f"compare: {metric.short} has no scores of single sentences, so there is nothing to test")
    scores = [float(np.mean([metric.of_sums(seed.sum(axis=0)) for (seed,) in system])) for system in found]
    configs = [
        flatten(experiment.trial.with_values(board.best.config).model_dump(mode="json"))
        for experiment, board in zip(experiments, boards, strict=True)
    ]
    values = {key: [config.get(key) for config in configs] for key in dict.fromkeys(k for c in configs for k in c)}
    differing = {key: row for key, row in values.items() if any(value != row[0] for value in row) and key != "seed"}
    return ComparedRuns(names, [board.best for board in boards], metric, scores, evidence, differing)


def _board(experiment: Experiment) -> Leaderboard:
    file = experiment.run_dir / "leaderboard.json"
    if not file.is_file():
        raise UserError(f"{experiment.run_dir}: has no ranking yet; resume it first")
    return read_leaderboard(file)


def _check_tests(experiments: Sequence[Experiment]) -> None:
    """Raises UserError if the runs were not scored on the same test, or that is another one by now."""
    digests = [read_sealed(each.run_dir / "inputs.json")["splits"]["test text"] for each in experiments]
    first, data = experiments[0], as_translator(experiments[0].trial).data
    for experiment, digest in zip(experiments, digests, strict=True):
        if digest != digests[0]:
            raise UserError(
                f"{experiment.run_dir}: was scored on another test than {first.run_dir}, so they can't be compared; "
                "`score` scores the models of both on one test"
            )
    now = digest_test(data, cached_corpus(data, first.cache).train, TEST)
    if now["sha256"] != digests[0]["sha256"]:
        raise UserError(f"data.path: {data.path}: the test is another by now than {first.run_dir} had; restore it")


def scores_table(compared: ComparedRuns) -> Table:
    """The models for a terminal, the best first."""
    metric = compared.metric
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("run", "group", "trial", metric.short, "95% interval", "seeds", "params"):
        table.add_column(heading, justify="left" if heading == "run" else "right", no_wrap=heading != "run")
    for place in sorted(range(len(compared.names)), key=lambda place: -metric.metric.worth(compared.scores[place])):
        entry, (low, high) = compared.entries[place], compared.evidence.intervals[place]
        size = f"{entry.num_parameters / 1e6:.2f}M" if entry.num_parameters else ""
        ends = f"{metric.metric.show(low)}–{metric.metric.show(high)}"
        group, seeds = str(compared.evidence.groups[place]), str(len(entry.seeds))
        score = metric.metric.show(compared.scores[place])
        table.add_row(compared.names[place], group, str(entry.trial), score, ends, seeds, size)
    return table


def differences_table(compared: ComparedRuns) -> Table:
    """How the configurations differ, for a terminal."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("key", *compared.names):
        table.add_column(heading, overflow="fold")
    for key, values in compared.differing.items():
        table.add_row(key, *("" if value is None else short_value(value) for value in values))
    return table


def sentences(compared: ComparedRuns) -> list[str]:
    """What the paired tests say, a sentence for each pair, and what they can't say."""
    told = [_sentence(compared, pair) for pair in compared.evidence.comparisons]
    if not compared.evidence.noise.degrees:
        told.append("each has one seed, so what another training changes is not known; give finals.seeds 2 or more")
    return told


def _sentence(compared: ComparedRuns, pair: Comparison) -> str:
    show, short = compared.metric.metric.show, compared.metric.short
    better, worse, (low, high) = compared.names[pair.a], compared.names[pair.b], pair.ci
    size = f"{show(pair.difference)} {short} (95% interval {show(low)} to {show(high)}, p = {pair.p_holm:.2g})"
    if pair.p_holm < SURE:
        return f"{better} and {worse} differ by {size}"
    return f"{better} and {worse} can't be told apart: they differ by {size}"
