"""Metrics of translations: each kind scores each sentence, and says in one sentence what it can't do."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sacrebleu
from pydantic import ValidationError

from trainables.base.data_config import DataConfig
from trainables.base.errors import MetricFails, UserError
from trainables.base.metric_config import BUILT_IN, METRICS, TAKEN, Metrics
from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.scoring import Scoring
from trainables.data.reading.text import Split
from trainables.scoring.metrics import TranslationMetric, check_metric, find_metric, load_scorer

CODE = '''
"""Shares of the source's length, by functions, classes and commands, right and wrong."""
import json, os, sys, time

made = []
number = 3

def shares(sources, translations, references, times=1):
    return [times * len(t) / len(s) for s, t in zip(sources, translations)]

class Shares:
    def __init__(self, times=1):
        made.append(os.getpid())
        self.times = times

    def __call__(self, sources, translations, references):
        return shares(sources, translations, references, self.times)

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

class Unmade:
    def __init__(self):
        raise OSError("no weights")

if __name__ == "__main__":
    batch = []
    print("a model is loaded", file=sys.stderr)
    for line in sys.stdin:
        if line.strip():
            batch.append(json.loads(line))
            continue
        match sys.argv[1]:
            case "dies":
                print(0.5, flush=True)
                sys.exit("no model")
            case "hangs":
                print(0.5, flush=True)
                time.sleep(60)
            case "words":
                print("good")
            case "few":
                batch = batch[:1]
            case "many":
                batch = batch * 2
            case "nan":
                print("nan")
                batch = batch[1:]
            case "cuda":
                batch = [{"source": "-", "translation": "-" * (os.environ.get("CUDA_VISIBLE_DEVICES") == "")}] * 2
        for pair in batch:
            print(len(pair["translation"]) / len(pair["source"]))
        print(flush=True)
        batch = []
'''
TEXT = Split(["ab", 'a"\t\u2028d'], ["x", "y"])
WRITTEN = ["a", "a\\n"]
SHARES = [0.5, 0.6]
COMMAND = f"{sys.executable} lengths.py"


@pytest.fixture(autouse=True)
def in_a_folder_with_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lengths.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "lengths", raising=False)
    monkeypatch.setitem(sys.modules, "comet", comet())
    load_scorer.cache_clear()


def comet() -> ModuleType:
    """A module with what is used of unbabel-comet; its model takes references unless its name is that of a file."""

    @dataclass
    class Model:
        name: str

        def requires_references(self) -> bool:
            return not self.name.endswith("kiwi.ckpt")

        def predict(self, rows: list[dict[str, str]], **options: Any) -> SimpleNamespace:
            assert options == {"batch_size": 16, "gpus": 0, "progress_bar": False, "num_workers": 0}
            assert all(("ref" in row) == self.requires_references() for row in rows)
            return SimpleNamespace(scores=[len(row["mt"]) / len(row["src"]) for row in rows])

    def load(name: str) -> Model:
        if "absent" in name:
            raise KeyError(f"Model '{name}' not supported by COMET.")
        return Model(name)

    module: Any = ModuleType("comet")
    module.download_model, module.load_from_checkpoint = (lambda name: f"{name}/model"), load
    module.__spec__ = SimpleNamespace()
    return module


def metric(settings: Any) -> TranslationMetric:
    return find_metric("mine", DataConfig(), Metrics.model_validate({"mine": settings}))


# Each kind, set up to give SHARES for WRITTEN; a new kind fails the test below until it is here.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "comet": [{"kind": "comet", "device": "cpu"}, {"kind": "comet", "device": "cpu", "model": "kiwi.ckpt"}],
    "command": [{"kind": "command", "command": f"{COMMAND} right"}],
    "module:Name": [{"kind": "lengths:shares"}, {"kind": "lengths:Shares", "direction": "minimize"}],
}


def test_each_kind_has_a_sample_and_a_row_in_the_docs() -> None:
    assert set(SAMPLES) == {*METRICS, "module:Name"}, "a kind is new: say here how to try it"
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "metrics.md").read_text(encoding="utf-8")
    for name in METRICS:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        own = METRICS[name].model_fields.keys() - {"kind", "direction"}
        assert own <= {*re.findall(r"`(\w+)`", row)}, f"{name} has settings that its row lacks"


@pytest.mark.parametrize("settings", [each for samples in SAMPLES.values() for each in samples], ids=str)
def test_a_kind_scores_each_sentence_and_its_corpus_score_is_the_mean(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "kiwi.ckpt").touch()
    found = metric(settings)
    check_metric("metrics.mine", Metrics.model_validate({"mine": settings})["mine"])
    for _ in range(2):
        assert found.statistics(TEXT, WRITTEN) == pytest.approx(np.array([[0.5, 1], [0.6, 1]]))
    assert found.score(TEXT, WRITTEN) == pytest.approx(0.55)
    assert found.of_sums(np.array([[1.1, 2], [0.5, 1]])) == pytest.approx([0.55, 0.5])
    assert (found.name, found.direction, found.recomputed) == ("mine", settings.get("direction", "maximize"), False)


def test_other_settings_reach_a_function_and_a_class_which_is_made_once() -> None:
    assert metric({"kind": "lengths:shares", "times": 2}).score(TEXT, WRITTEN) == pytest.approx(1.1)
    for _ in range(2):
        assert metric({"kind": "lengths:Shares", "times": 4}).score(TEXT, WRITTEN) == pytest.approx(2.2)
    assert sys.modules["lengths"].made == [os.getpid()]


def test_one_score_for_the_whole_text_has_one_row() -> None:
    assert metric("lengths:one").statistics(TEXT, WRITTEN).tolist() == [[0.25, 1.0]]
    assert metric("lengths:one").score(TEXT, WRITTEN) == 0.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("nowhere:f", "metrics.mine: nowhere:f can't be imported: ModuleNotFoundError"),
        ("lengths:absent", "can't be imported: AttributeError"),
        ("lengths:number", "lengths:number is not a function or class"),
        ("lengths:few", "returned [1.0]; it must return a number for each of the 2 sentences"),
        ("lengths:text", "returned good"),
        ("lengths:nothing", "returned nan for sentence 1 of 2"),
        ("lengths:broken", "metrics.mine: lengths:broken raised ValueError: no model; fix it, then resume"),
        ("lengths:Unmade", "lengths:Unmade raised OSError: no weights; fix it, then resume"),
        ({"kind": "lengths:shares", "time": 2}, "raised TypeError: shares() got an unexpected keyword argument 'time'"),
        ({"command": "no-such-program"}, "metrics.mine: 'no-such-program' can't be started"),
        ({"command": "echo 'a"}, "can't be started: No closing quotation"),
        ({"command": "true"}, "ended after 0 of 2 scores, with status 0; fix it, then resume"),
        ({"command": f"{COMMAND} dies"}, "after 1 of 2 scores, with status 1: a model is loaded / no model"),
        ({"command": f"{COMMAND} hangs", "timeout_seconds": 1}, "printed nothing for 1 s (timeout_seconds)"),
        ({"command": f"{COMMAND} words"}, "printed 'good', which is not a number"),
        ({"command": f"{COMMAND} few"}, "printed 1 scores for 2 sentences before its empty line"),
        ({"command": f"{COMMAND} many"}, "printed 4 scores for 2 sentences"),
        ({"command": f"{COMMAND} nan"}, "returned nan for sentence 1 of 2"),
        ({"model": "absent"}, "metrics.mine: model absent can't be loaded: KeyError"),
    ],
)  # fmt: skip
def test_what_a_metric_can_not_do_is_one_sentence(settings: Any, message: str) -> None:
    """And not the fault of a trial, so that it ends the search and not one trial after the other."""
    if isinstance(settings, dict) and "command" in settings:
        settings = {"kind": "command", **settings}
    with pytest.raises(MetricFails) as told:
        metric(settings).statistics(TEXT, WRITTEN)
    assert message in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    "settings",
    ["nowhere:f", {"kind": "command", "command": f"{COMMAND} dies"}, {"kind": "comet", "model": "none.ckpt"}],
)
def test_what_is_wrong_is_told_before_anything_is_trained(settings: Any) -> None:
    with pytest.raises(UserError, match=r"^metrics\.mine: "):
        check_metric("metrics.mine", Metrics.model_validate({"mine": settings})["mine"])


def test_comet_that_is_not_installed_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "comet")
    monkeypatch.setattr("trainables.scoring.comet.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"comet is not installed; install unbabel-comet .* examples/comet_scores.py"):
        check_metric("metrics.mine", METRICS.read("comet"))


def test_a_command_goes_on_after_an_error_and_may_be_hidden_from_the_gpus() -> None:
    found = metric({"kind": "command", "command": f"{COMMAND} cuda", "device": "cpu"})
    assert found.score(TEXT, WRITTEN) == 1
    with pytest.raises(MetricFails, match="printed 2 scores for 1 sentences"):
        found.score(Split(["a"], ["b"]), ["c"])
    assert found.score(TEXT, WRITTEN) == 1, "it is started again"


@pytest.mark.parametrize("language", ["13a", "char"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_metric_is_that_of_sacrebleu(name: str, language: str) -> None:
    """Also at the edges: no word in common, an empty translation, and a reference of one letter."""
    data = DataConfig(bleu_tokenize=language)
    found, scoring = find_metric(name, data, Metrics()), Scoring(language)  # type: ignore[arg-type]
    official: dict[str, Callable[[list[str], list[str]], float]] = {
        "bleu": lambda t, r: sacrebleu.corpus_bleu(t, [r], tokenize=language).score,
        "chrf": lambda t, r: sacrebleu.corpus_chrf(t, [r], word_order=2).score,
        "ter": lambda t, r: sacrebleu.corpus_ter([*map(scoring.words, t)], [[*map(scoring.words, r)]]).score,
    }
    references = ["the old man sees a dog", "a", "the sea, and the sun."]
    for translations in (
        references,
        ["an old man saw the dog", "a", "sun the sea and the"],
        ["", "b", "xyz"],
        ["", "", ""],
        ["the the the the the the the the the the", "a a a", "the sea, and the sun."],
    ):
        text = Split(["-"] * 3, references)
        assert found.score(text, translations) == pytest.approx(official[name](translations, references)), translations
        statistics = found.statistics(text, translations)
        rows = [0, 0, 2]
        again = official[name]([translations[row] for row in rows], [references[row] for row in rows])
        assert float(found.of_sums(statistics[rows].sum(axis=0))) == pytest.approx(again)
    assert found.recomputed and found.direction == ("minimize" if name == "ter" else "maximize")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": {"bleu": "my:metric"}}, "'bleu' is the name of a built-in score; choose another"),
        ({"metrics": {"Mine": "my:metric"}}, "'Mine': use small letters, digits and '_', as for valid_mine"),
        ({"metrics": {"mine": "metric"}}, "unknown kind 'metric'; known are comet, command"),
        ({"metrics": {"mine": {"kind": "command"}}}, "Field required"),
        ({"training": {"valid_metrics": ["chfr"]}}, "training.valid_metrics: 'chfr' is not in `metrics`; did you mean"),
    ],
)
def test_metrics_that_can_not_be_configured(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as told:
        TranslationConfig.model_validate(values)
    assert message in str(told.value)


def test_every_built_in_name_is_taken() -> None:
    assert set(BUILT_IN) <= set(TAKEN)
    for name in BUILT_IN:
        assert find_metric(name, DataConfig(), Metrics()).name == name
    with pytest.raises(UserError, match=r"metrics: has no blue; did you mean bleu\?"):
        find_metric("blue", DataConfig(), Metrics())
