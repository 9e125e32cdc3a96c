"""The ranking, its Pareto front, and one more score by a function of the user's."""

import csv
import json
import sys
from pathlib import Path

import pytest

from search.finals.choosing import Finalist
from search.finals.leaderboard import Cost, Entry, rank, write_leaderboard
from search.finals.neural_metric import load_metric, neural_score
from search.finals.scoring import FinalModel, ScoredModel
from search.finals_config import Decoding
from trainables.config import TrialConfig
from trainables.corpus import Split
from trainables.errors import UserError
from trainables.evaluation import score
from trainables.scoring import Scoring

REFERENCES = [f"the {a} sees a {b} in the {c}" for a in ("man", "dog") for b in ("cat", "bird") for c in ("sun", "sea")]
COST = Cost(trials=9, epochs_trained=20, epochs_full=36, gpu_seconds=5.0, wall_seconds=6.0)


def entry(trial: int, mistakes: tuple[int, ...], parameters: int, nll: float | None = 0.5) -> Entry:
    """A finalist whose seeds get so many sentences wrong."""
    results = []
    for seed, wrong in enumerate(mistakes, 2):
        translations = [f"a {text}" if row < wrong else text for row, text in enumerate(REFERENCES)]
        scores = score(translations, REFERENCES, Scoring("13a"))
        results.append(ScoredModel(seed, Decoding(3, 0.6), 40.0 - wrong, scores, nll, translations, parameters))
    models = [FinalModel(TrialConfig(seed=r.seed), trial, r.seed, 1.0, 0.5 * trial, 7.0, Path()) for r in results]
    return Entry(Finalist(trial, {"model.d_model": 64 * trial}, 4, 30.0), models, results)


def test_the_leaderboard_says_who_is_best_and_on_which_front(tmp_path: Path) -> None:
    entries = [
        entry(1, (4, 5), parameters=300),  # worse than 2 in all
        entry(2, (2, 1), parameters=200, nll=None),
        entry(3, (6, 7), parameters=100),  # the smallest
        entry(4, (0, 0), parameters=900),  # the best
        entry(5, (7, 7), parameters=900),  # as large as 4, and worse
    ]
    ranked, evidence = rank(entries, REFERENCES)
    board = write_leaderboard(tmp_path, "name", {"test_pairs": 8}, COST, ranked, evidence)
    assert json.loads((tmp_path / "leaderboard.json").read_text()) == board
    assert [line["trial"] for line in board["ranking"]] == [4, 2, 1, 3, 5]
    assert {line["trial"] for line in board["ranking"] if line["pareto"]} == {2, 3, 4}
    best, second = board["ranking"][:2]
    assert best["test_bleu"] == pytest.approx(100) and best["test_ter"] == 0
    assert second["test_ter"] == pytest.approx(100 * 1.5 / (8 * len(REFERENCES)))
    assert best["test_ppl_per_char"] == pytest.approx(2.71828**0.5, rel=1e-4) and second["test_ppl_per_char"] is None
    assert (best["beam_size"], best["length_penalty"], best["valid_bleu"]) == (3, 0.6, 40.0)
    assert len(board["comparisons"]) == 10 and board["significance"]["degrees_of_freedom"] == 5
    assert board["comparisons"][0]["a"] == 4 and board["comparisons"][0]["b"] == 2
    assert board["significance"]["bleu_std_of_seeds"] > 0
    assert ranked[1].best[1].seed == 3, "the seed that was best on valid"
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["4", "2", "1", "3", "5"]
    assert float(rows[0]["test_bleu"]) == pytest.approx(100) and rows[1]["test_ppl_per_char"] == ""


def test_equal_systems_dominate_each_other_in_nothing(tmp_path: Path) -> None:
    ranked, evidence = rank([entry(1, (2,), 10), entry(2, (2,), 10)], REFERENCES)
    board = write_leaderboard(tmp_path, "name", {}, COST, ranked, evidence)
    assert [(line["group"], line["pareto"]) for line in board["ranking"]] == [(1, True), (1, True)]
    assert board["significance"]["bleu_std_of_seeds"] is None, "one seed each"


METRICS = """
calls = []
number = 3
def shares(sources, translations, references):
    calls.append(1)
    return [len(t) / len(s) for s, t in zip(sources, translations)]
def one(sources, translations, references):
    return 0.25
def few(sources, translations, references):
    return [1.0]
def text(sources, translations, references):
    return "good"
def nothing(sources, translations, references):
    return float("nan")
def broken(sources, translations, references):
    raise ValueError("no model")
"""
TEXT = Split(["ab", "abcd"], ["x", "y"])


@pytest.fixture(autouse=True)
def in_a_folder_with_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_metrics.py").write_text(METRICS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_metrics", raising=False)


def test_a_neural_metric_gives_a_score_a_sentence_or_one_and_is_asked_once(tmp_path: Path) -> None:
    file = tmp_path / "neural.json"
    for _ in range(2):
        assert neural_score("my_metrics:shares", file, "model", TEXT, ["a", "ab"]) == 0.5
    assert load_metric("my_metrics:shares").__globals__["calls"] == [1]
    assert neural_score("my_metrics:one", file, "model", TEXT, ["a", "ab"]) == 0.25, "another metric"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:f", "nowhere:f can't be imported: ModuleNotFoundError"),
        ("my_metrics:absent", "can't be imported: AttributeError"),
        ("my_metrics:number", "my_metrics:number is no function"),
        ("my_metrics:few", "returned [1.0]; it must return a number for each of the 2 sentences"),
        ("my_metrics:text", "returned good"),
        ("my_metrics:nothing", "returned nan"),
        ("my_metrics:broken", "raised ValueError: no model; fix it, then resume"),
    ],
)
def test_what_a_neural_metric_can_not_be_is_told(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        neural_score(name, tmp_path / "neural.json", "model", TEXT, ["a", "ab"])
    assert message in str(told.value)
    assert not (tmp_path / "neural.json").exists()
