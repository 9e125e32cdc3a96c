"""The ranking by test BLEU: leaderboard.json and leaderboard.csv."""

import csv
import io
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from search.finals.bleu_statistics import sentence_statistics
from search.finals.choosing import Finalist
from search.finals.deciding import decided_by
from search.finals.scoring import FinalModel, ScoredModel
from search.finals.sentence_tests import RESAMPLES, SEED, SHUFFLES
from search.finals.significance import LEVEL, Evidence, weigh
from trainables.base.files import write_atomically
from trainables.data.scoring import Scoring, scoring, tells_apart


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
    results: list[ScoredModel]

    @property
    def scoring(self) -> Scoring:
        return scoring(self.models[0].config.data)

    @property
    def bleu(self) -> float:
        return fmean(result.scores.bleu for result in self.results)

    @property
    def best(self) -> tuple[FinalModel, ScoredModel]:
        """The model and result of the seed that was best on the validation split; by loss where BLEU tells nothing."""
        pairs = list(zip(self.models, self.results, strict=True))
        told = tells_apart([result.valid_bleu for result in self.results])
        return max(pairs, key=lambda pair: (pair[1].valid_bleu if told else 0, -pair[0].valid_nll_per_char))

    @property
    def valid_nll_per_char(self) -> float:
        return fmean(model.valid_nll_per_char for model in self.models)


def rank(entries: list[Entry], references: list[str]) -> tuple[list[Entry], Evidence]:
    """The entries, best first by BLEU, or by validation loss where BLEU tells nothing; and what can be said of them."""
    told = tells_apart([entry.bleu for entry in entries])
    entries = sorted(entries, key=lambda entry: (-entry.bleu if told else 0, entry.valid_nll_per_char))
    evidence = weigh(
        [[sentence_statistics(r.translations, references, entry.scoring) for r in entry.results] for entry in entries]
    )
    return entries, evidence if told else replace(evidence, groups=[1] * len(entries))


def write_leaderboard(
    folder: Path,
    name: str,
    corpus: dict[str, Any],
    cost: Cost,
    entries: list[Entry],
    evidence: Evidence,
    untrained: Collection[int] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Write leaderboard.json and the same for people, leaderboard.csv; returns the content of the first.

    untrained: finalists, by trial, that have learnt nothing. notes: sentences on what else is to be known.
    """
    trials = [entry.finalist.trial for entry in entries]
    ranking = [_line(place, entries, evidence) for place in range(len(entries))]
    for line in ranking:
        line["untrained"] = line["trial"] in untrained
    board = {
        "experiment": name,
        "corpus": corpus,
        "signatures": entries[0].scoring.signatures(),
        "search": vars(cost),
        "decided_by": decided_by("test_bleu", [entry.bleu for entry in entries]),
        "notes": list(notes),
        "ranking": ranking,
        "comparisons": [
            {**vars(pair), "a": trials[pair.a], "b": trials[pair.b], "ci": list(pair.ci)}
            for pair in evidence.comparisons
        ],
        "significance": {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "shuffles": SHUFFLES,
            "seed": SEED,
            "bleu_std_of_seeds": math.sqrt(evidence.noise.variance) if evidence.noise.degrees else None,
            "degrees_of_freedom": evidence.noise.degrees,
        },
    }
    write_atomically(folder / "leaderboard.json", json.dumps(board, indent=2, ensure_ascii=False))
    write_atomically(folder / "leaderboard.csv", _csv(ranking))
    return board


def _line(place: int, entries: list[Entry], evidence: Evidence) -> dict[str, Any]:
    """An entry's line of the ranking."""
    entry = entries[place]
    results = entry.results
    neural = [r.neural for r in results if r.neural is not None]
    likelihoods = [r.nll_per_char for r in results if r.nll_per_char is not None]
    return {
        "rank": place + 1,
        "group": evidence.groups[place],
        "trial": entry.finalist.trial,
        "config": entry.finalist.params,
        "seeds": [result.seed for result in results],
        "final_trials": [model.number for model in entry.models if model.number is not None],
        "test_bleu": entry.bleu,
        "test_bleu_std": stdev(r.scores.bleu for r in results) if len(results) > 1 else None,
        "test_bleu_ci": list(evidence.intervals[place]),
        "test_chrf": fmean(r.scores.chrf for r in results),
        "test_ter": fmean(r.scores.ter for r in results),
        "test_sentence_bleu": fmean(r.scores.sentence_bleu for r in results),
        "test_ppl_per_char": math.exp(fmean(likelihoods)) if likelihoods else None,
        **({"test_neural": fmean(neural)} if neural else {}),
        "valid_bleu": fmean(r.valid_bleu for r in results),
        "valid_nll_per_char": entry.valid_nll_per_char,
        "num_parameters": results[0].num_parameters,
        "train_seconds": fmean(model.train_seconds for model in entry.models),
        "beam_size": results[0].decoding.beam_size,
        "length_penalty": results[0].decoding.length_penalty,
        "pareto": not any(_dominates(other, entry) for other in entries),
    }


def _dominates(other: Entry, entry: Entry) -> bool:
    """Whether the other is nowhere worse in BLEU and parameters, and somewhere better."""
    theirs, ours = ((e.bleu, -e.results[0].num_parameters) for e in (other, entry))
    return theirs != ours and all(their >= our for their, our in zip(theirs, ours, strict=True))


def _csv(ranking: list[dict[str, Any]]) -> str:
    table = io.StringIO()
    config_keys = list(dict.fromkeys(key for entry in ranking for key in entry["config"]))
    plain_keys = [key for key in ranking[0] if key not in ("config", "final_trials")]
    writer = csv.writer(table)
    writer.writerow([*plain_keys, *config_keys])
    for entry in ranking:
        cells = [" ".join(map(str, entry[key])) if isinstance(entry[key], list) else entry[key] for key in plain_keys]
        writer.writerow([*cells, *(entry["config"].get(key) for key in config_keys)])
    return table.getvalue()
