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
from search.finals.board import CorpusSize, Cost, Leaderboard, LeaderboardEntry, Significance
from search.finals.choosing import Finalist
from search.finals.deciding import decided_by
from search.finals.scoring import FinalModel, ScoredModel
from search.finals.sentence_tests import RESAMPLES, SEED, SHUFFLES
from search.finals.significance import LEVEL, Evidence, weigh
from trainables.base.files import write_atomically
from trainables.data.scoring import Scoring, scoring, tells_apart


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
    corpus: CorpusSize,
    cost: Cost,
    entries: list[Entry],
    evidence: Evidence,
    untrained: Collection[int] = (),
    notes: Sequence[str] = (),
) -> Leaderboard:
    """Write leaderboard.json and the same for people, leaderboard.csv.

    untrained: finalists, by trial, that have learnt nothing. notes: sentences on what else is to be known.
    """
    trials = [entry.finalist.trial for entry in entries]
    noise = evidence.noise
    board = Leaderboard(
        experiment=name,
        corpus=corpus,
        signatures=entries[0].scoring.signatures(),
        search=cost,
        decided_by=decided_by("test_bleu", [entry.bleu for entry in entries]),
        notes=list(notes),
        ranking=[_ranked(place, entries, evidence, untrained) for place in range(len(entries))],
        comparisons=[replace(pair, a=trials[pair.a], b=trials[pair.b]) for pair in evidence.comparisons],
        significance=Significance(
            level=LEVEL,
            resamples=RESAMPLES,
            shuffles=SHUFFLES,
            seed=SEED,
            bleu_std_of_seeds=math.sqrt(noise.variance) if noise.degrees else None,
            degrees_of_freedom=noise.degrees,
        ),
    )
    stored = board.stored()
    write_atomically(folder / "leaderboard.json", json.dumps(stored, indent=2, ensure_ascii=False))
    write_atomically(folder / "leaderboard.csv", _csv(stored["ranking"]))
    return board


def _ranked(place: int, entries: list[Entry], evidence: Evidence, untrained: Collection[int]) -> LeaderboardEntry:
    """The entry at this place, from 0."""
    entry = entries[place]
    results = entry.results
    neural = [r.neural for r in results if r.neural is not None]
    likelihoods = [r.nll_per_char for r in results if r.nll_per_char is not None]
    return LeaderboardEntry(
        rank=place + 1,
        group=evidence.groups[place],
        trial=entry.finalist.trial,
        config=entry.finalist.params,
        seeds=[result.seed for result in results],
        final_trials=[model.number for model in entry.models if model.number is not None],
        test_bleu=entry.bleu,
        test_bleu_std=stdev(r.scores.bleu for r in results) if len(results) > 1 else None,
        test_bleu_ci=evidence.intervals[place],
        test_chrf=fmean(r.scores.chrf for r in results),
        test_ter=fmean(r.scores.ter for r in results),
        test_sentence_bleu=fmean(r.scores.sentence_bleu for r in results),
        test_ppl_per_char=math.exp(fmean(likelihoods)) if likelihoods else None,
        test_neural=fmean(neural) if neural else None,
        valid_bleu=fmean(r.valid_bleu for r in results),
        valid_nll_per_char=entry.valid_nll_per_char,
        num_parameters=results[0].num_parameters,
        train_seconds=fmean(model.train_seconds for model in entry.models),
        beam_size=results[0].decoding.beam_size,
        length_penalty=results[0].decoding.length_penalty,
        pareto=not any(_dominates(other, entry) for other in entries),
        untrained=entry.finalist.trial in untrained,
    )


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
        values = [entry[key] for key in plain_keys]
        cells = [" ".join(map(str, value)) if isinstance(value, list | tuple) else value for value in values]
        writer.writerow([*cells, *(entry["config"].get(key) for key in config_keys)])
    return table.getvalue()
