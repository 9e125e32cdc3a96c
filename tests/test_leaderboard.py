"""The ranking, its Pareto front, and one more score by a function of the user's."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
from boards import TEST_BLEU
from reports import line_of

from search.finals.board import Cost, DataSize, Leaderboard, read_leaderboard
from search.finals.choosing import Finalist
from search.finals.leaderboard import Entry, Ranking, compare, rank, write_leaderboard
from search.finals.significance import Evidence
from search.finals.stages import FinalModel
from search.settings.experiment import Experiment
from search.translation.finals import FINALS, choose_best
from search.translation.finals_config import Decoding
from search.translation.scoring import ScoredModel
from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.scoring import Scoring
from trainables.scoring.bleu import sentence_statistics
from trainables.training.evaluation import score

REFERENCES = [f"the {a} sees a {b} in the {c}" for a in ("man", "dog") for b in ("cat", "bird") for c in ("sun", "sea")]
SIZE = DataSize("corpus", "en", "fr", 100, 8, 8)
COST = Cost(trials=9, epochs_trained=20, epochs_full=36, gpu_seconds=5.0, wall_seconds=6.0)


def entry(trial: int, mistakes: tuple[int, ...], parameters: int, nll: float | None = 0.5) -> Entry:
    """A finalist whose seeds get so many sentences wrong."""
    results = []
    for seed, wrong in enumerate(mistakes, 2):
        translations = [f"a {text}" if row < wrong else text for row, text in enumerate(REFERENCES)]
        scores = score(translations, REFERENCES, Scoring("13a"))
        results.append(ScoredModel(seed, Decoding(3, 0.6), 40.0 - wrong, scores, nll, translations, parameters))
    models = [
        FinalModel(
            "translation",
            TranslationConfig(seed=result.seed),
            trial,
            result.seed,
            7.0,
            Path(),
            [line_of(0, valid_nll_per_char=0.5 * trial)],
        )
        for result in results
    ]
    return Entry(Finalist(trial, {"model.d_model": 64 * trial}, 4, 30.0), models, results)


def ranked(entries: list[Entry]) -> tuple[list[Entry], Evidence]:
    first = rank(entries, TEST_BLEU)
    metrics = Scoring("13a")
    statistics = [[(sentence_statistics(r.translations, REFERENCES, metrics),) for r in e.results] for e in first]
    return first, compare(first, statistics, TEST_BLEU)


def write(folder: Path, entries: list[Entry], evidence: Evidence, untrained: Any = (), notes: Any = ()) -> Leaderboard:
    experiment = Experiment.model_validate(
        {"finals": {"neural_metric": "my:metric"}} if entries[0].results[0].further else {}
    )
    figures = [FINALS.figures(entry, experiment) for entry in entries]
    signatures = Scoring("13a").signatures()
    goals = Experiment.model_validate({}).search
    ranking = Ranking("name", TEST_BLEU, entries, evidence, figures, signatures, goals, untrained)
    return write_leaderboard(folder, ranking, COST, SIZE, notes)


def test_the_leaderboard_says_who_is_best_and_on_which_front(tmp_path: Path) -> None:
    entries = [
        entry(1, (4, 5), parameters=300),  # worse than 2 in all
        entry(2, (2, 1), parameters=200, nll=None),
        entry(3, (6, 7), parameters=100),  # the smallest
        entry(4, (0, 0), parameters=900),  # the best
        entry(5, (7, 7), parameters=900),  # as large as 4, and worse
        entry(6, (2, 1), parameters=250),  # as good as 2, and larger
    ]
    order, evidence = ranked(entries)
    board = write(tmp_path, order, evidence)
    assert json.loads((tmp_path / "leaderboard.json").read_text()) == json.loads(json.dumps(board.stored()))
    assert read_leaderboard(tmp_path / "leaderboard.json") == board
    assert [line.trial for line in board.ranking] == [4, 2, 6, 1, 3, 5]
    assert {line.trial for line in board.ranking if line.pareto} == {2, 3, 4}
    best, second = board.ranking[:2]
    assert best.score == pytest.approx(100) and best.figures["test_ter"] == 0
    assert second.figures["test_ter"] == pytest.approx(100 * 1.5 / (8 * len(REFERENCES)))
    assert best.figures["test_ppl_per_char"] == pytest.approx(2.71828**0.5, rel=1e-4)
    assert second.figures["test_ppl_per_char"] is None
    assert [best.figures[name] for name in ("beam_size", "length_penalty", "valid_bleu")] == [3, 0.6, 40.0]
    assert len(board.comparisons) == 15 and board.significance.degrees_of_freedom == 6
    assert board.comparisons[0].a == 4 and board.comparisons[0].b == 2
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["4", "2", "6", "1", "3", "5"]
    assert float(rows[0]["test_bleu"]) == pytest.approx(100) and rows[1]["test_ppl_per_char"] == ""


def test_equal_systems_dominate_each_other_in_nothing(tmp_path: Path) -> None:
    searched, retrained = (with_models(entry(n, (2,), 10), number=(number,)) for n, number in ((1, None), (2, 5)))
    order, evidence = ranked([searched, retrained])
    board = write(tmp_path, order, evidence)
    assert [(line.group, line.pareto) for line in board.ranking] == [(1, True), (1, True)]
    assert [line.final_trials for line in board.ranking] == [[], [5]], "a model of the search has no number there"
    assert board.significance.std_of_seeds is None, "one seed each"


def with_models(plain: Entry, **fields: tuple[Any, ...]) -> Entry:
    """The entry with these values of its models and results, one a seed."""
    models, results = list(plain.models), list(plain.results)
    for name, values in fields.items():
        for seed, value in enumerate(values):
            if name == "valid_nll_per_char":
                models[seed] = replace(models[seed], lines=[line_of(0, valid_nll_per_char=value)])
            elif hasattr(models[seed], name):
                models[seed] = replace(models[seed], **{name: value})
            else:
                results[seed] = replace(results[seed], **{name: value})
    return Entry(plain.finalist, models, results)


def test_every_number_is_what_the_models_of_its_line_make_it(tmp_path: Path) -> None:
    """Entries of seeds whose order by validation is not that by test, and of a system with one seed fewer."""
    mixed = with_models(
        entry(3, (1, 4), 200),
        number=(6, 2),
        train_seconds=(10.0, 40.0),
        valid_nll_per_char=(0.4, 0.9),
        valid_bleu=(20.0, 31.0),
        nll_per_char=(0.5, 0.75),
        further=({"neural": 0.25}, {"neural": 1.0}),
    )
    worse = with_models(entry(9, (8, 7, 8), 400), further=({"neural": 0.5},) * 3)
    order, evidence = ranked([worse, mixed])
    board = write(tmp_path, order, evidence, {9}, ["a note"])
    first, second = board.ranking
    texts = [[r.translations for r in e.results] for e in (mixed, worse)]
    bleus = [[sacrebleu.corpus_bleu(text, [REFERENCES]).score for text in system] for system in texts]
    assert bleus[0][0] > bleus[0][1] > max(bleus[1])
    ters = [sacrebleu.corpus_ter(text, [REFERENCES]).score for text in texts[0]]
    chrfs = [sacrebleu.corpus_chrf(text, [REFERENCES], word_order=2).score for text in texts[0]]
    sentences = [
        sacrebleu.sentence_bleu(hypothesis, [reference]).score
        for text in texts[0]
        for hypothesis, reference in zip(text, REFERENCES, strict=True)
    ]
    expected = {
        "rank": 1,
        "group": 1,
        "trial": 3,
        "config": {"model.d_model": 192},
        "seeds": [2, 3],
        "final_trials": [6, 2],
        "test_bleu": np.mean(bleus[0]),
        "test_bleu_std": np.std(bleus[0], ddof=1),  # of a sample of seeds
        "test_bleu_ci": evidence.intervals[0],
        "test_chrf": np.mean(chrfs),
        "test_ter": np.mean(ters),
        "test_sentence_bleu": np.mean(sentences),
        "test_ppl_per_char": math.exp(0.625),
        "test_neural": 0.625,
        "valid_bleu": 25.5,
        "valid_nll_per_char": 0.65,
        "beam_size": 3,
        "length_penalty": 0.6,
        "num_parameters": 200,
        "train_seconds": 25.0,
        "pareto": True,
        "untrained": False,
    }
    stored = first.stored("test_bleu")
    assert list(stored) == list(expected)
    for key, value in expected.items():
        assert stored[key] == (pytest.approx(value) if isinstance(value, float) else value), key
    assert (second.rank, second.trial, second.untrained, second.pareto) == (2, 9, True, False)
    assert second.score_std == pytest.approx(np.std(bleus[1], ddof=1))
    (pair,) = board.comparisons
    assert (pair.a, pair.b) == (3, 9)
    assert pair.difference == pytest.approx(np.mean(bleus[0]) - np.mean(bleus[1]))
    assert pair.ci == evidence.comparisons[0].ci
    within = sum(np.var(system) * len(system) for system in bleus)  # squares around each system's own mean
    assert board.significance.std_of_seeds == pytest.approx(math.sqrt(within / 3))
    assert (board.significance.level, board.significance.degrees_of_freedom) == (0.95, 3)
    assert board.search == COST
    assert (board.experiment, board.corpus, board.notes) == ("name", SIZE, ["a note"])
    assert board.decided_by == "test_bleu"

    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, one in zip(rows, board.ranking, strict=True):
        line = one.stored("test_bleu")
        assert row.pop("model.d_model") == str(line["config"]["model.d_model"])
        assert row.pop("num_seeds") == str(len(line["seeds"]))
        low, high = line["test_bleu_ci"]
        assert (row.pop("test_bleu_low"), row.pop("test_bleu_high")) == (str(low), str(high))
        for key, cell in row.items():
            if key not in line:  # an end of an interval
                name, _, end = key.rpartition("_")
                assert cell == str(line[f"{name}_ci"][["low", "high"].index(end)]), key
            else:
                assert cell == str(line[key]) and not isinstance(line[key], list | tuple), key
        assert row.keys() >= line.keys() - {"config", "final_trials", "seeds", *(k for k in line if k.endswith("_ci"))}


@pytest.mark.parametrize(
    ("valid_bleu", "losses", "best"),
    [
        ((20.0, 31.0), (0.4, 0.9), 3),  # though its test BLEU is lower, and its loss higher
        ((0.2, 0.9), (0.4, 0.9), 2),  # near zero both
        ((0.9, 0.2), (0.9, 0.4), 3),
        ((30.0, 30.0), (0.9, 0.4), 3),
    ],
)
def test_the_model_to_keep_is_of_the_seed_that_was_best_on_valid(
    valid_bleu: tuple[float, ...], losses: tuple[float, ...], best: int
) -> None:
    """By its BLEU, or the lower loss where that tells nothing; never by the test split."""
    mixed = with_models(entry(1, (1, 4), 200), valid_bleu=valid_bleu, valid_nll_per_char=losses)
    model, result = choose_best(mixed, Experiment.model_validate({}).search)
    assert (model.config.seed, result.seed) == (best, best)


def test_where_bleu_tells_nothing_the_lower_validation_loss_is_ahead(tmp_path: Path) -> None:
    """And nobody is told apart by BLEU, though one of three that write one line always differs by it."""

    def useless(trial: int, word: str, losses: tuple[float, float]) -> Entry:
        text = [word] * len(REFERENCES)
        scores = score(text, REFERENCES, Scoring("13a"))
        return with_models(
            entry(trial, (8, 8), 100), translations=(text, text), scores=(scores, scores), valid_nll_per_char=losses
        )

    entries = [
        useless(1, "the" + " no" * 11, (2.0, 1.5)),
        useless(2, "none", (1.0, 2.25)),
        useless(3, "none", (0.5, 1.0)),
    ]
    order, evidence = ranked(entries)
    assert 0 < max(one.score for one in entries) < 1 and min(pair.p_holm for pair in evidence.comparisons) < 0.05
    board = write(tmp_path, order, evidence)
    assert board.decided_by == "valid_nll_per_char"
    assert [(line.trial, line.group) for line in board.ranking] == [(3, 1), (2, 1), (1, 1)]
    assert [line.figures["valid_nll_per_char"] for line in board.ranking] == [0.75, 1.625, 1.75]
