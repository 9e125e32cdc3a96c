"""The ranking by test BLEU: leaderboard.json and leaderboard.csv."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from search.finals import Finalist, FinalModel, TestResult
from search.significance import bootstrap, groups, interval, sentence_statistics
from trainables.evaluation import signatures
from trainables.files import write_atomically


@dataclass(frozen=True)
class Cost:
    """What the search spent."""

    trials: int
    epochs_trained: float  # whole unless reports come by steps
    epochs_full: int  # had every trial been trained to the end
    gpu_seconds: float  # device time of all trials; of CPU slots where there is no GPU
    wall_seconds: float


@dataclass(frozen=True)
class Entry:
    """A finalist with all that was measured of it."""

    finalist: Finalist
    models: list[FinalModel]
    results: list[TestResult]

    @property
    def bleu(self) -> float:
        return fmean(result.scores.bleu for result in self.results)

    @property
    def best(self) -> tuple[FinalModel, TestResult]:
        """Of the seed that was best on the validation split."""
        return max(zip(self.models, self.results, strict=True), key=lambda pair: pair[0].valid_bleu)


def rank(entries: list[Entry], references: list[str]) -> list[tuple[Entry, dict[str, Any]]]:
    """The entries, best first, each with its line of the ranking; intervals and groups come from one bootstrap."""
    entries = sorted(entries, key=lambda entry: -entry.bleu)
    replicates = bootstrap(
        [[sentence_statistics(result.translations, references) for result in entry.results] for entry in entries]
    )
    ranking = []
    for place, (entry, group) in enumerate(zip(entries, groups(replicates), strict=True)):
        results = entry.results
        ranking.append(
            (
                entry,
                {
                    "rank": place + 1,
                    "group": group,
                    "trial": entry.finalist.trial,
                    "config": entry.finalist.params,
                    "seeds": [result.seed for result in results],
                    "final_trials": [model.number for model in entry.models if model.number is not None],
                    "test_bleu": entry.bleu,
                    "test_bleu_std": stdev(r.scores.bleu for r in results) if len(results) > 1 else None,
                    "test_bleu_ci": list(interval(replicates[:, place])),
                    "test_chrf": fmean(r.scores.chrf for r in results),
                    "test_sentence_bleu": fmean(r.scores.sentence_bleu for r in results),
                    "valid_bleu": fmean(model.valid_bleu for model in entry.models),
                    "num_parameters": results[0].num_parameters,
                    "train_seconds": fmean(model.train_seconds for model in entry.models),
                    "decode_sentences_per_second": fmean(r.sentences_per_second for r in results),
                },
            )
        )
    return ranking


def write_leaderboard(
    folder: Path, name: str, corpus: dict[str, Any], cost: Cost, ranked: list[tuple[Entry, dict[str, Any]]]
) -> dict[str, Any]:
    """Write leaderboard.json and the same for people, leaderboard.csv; returns the content of the first."""
    ranking = [line for _, line in ranked]
    board = {
        "experiment": name,
        "corpus": corpus,
        "signatures": signatures(),
        "search": cost.__dict__,
        "ranking": ranking,
    }
    write_atomically(folder / "leaderboard.json", json.dumps(board, indent=2, ensure_ascii=False))
    table = io.StringIO()
    config_keys = list(dict.fromkeys(key for entry in ranking for key in entry["config"]))
    plain_keys = [key for key in ranking[0] if key not in ("config", "final_trials")]
    writer = csv.writer(table)
    writer.writerow([*plain_keys, *config_keys])
    for entry in ranking:
        cells = [" ".join(map(str, entry[key])) if isinstance(entry[key], list) else entry[key] for key in plain_keys]
        writer.writerow([*cells, *(entry["config"].get(key) for key in config_keys)])
    write_atomically(folder / "leaderboard.csv", table.getvalue())
    return board
