"""Who goes to the finals, what the weights of a finalist are, and how it is decoded."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from corpora import text_of, write_digits
from heard import heard
from pydantic import ValidationError
from reports import line_of, write_lines

from search.driver.finals_run import FinalsRun
from search.driver.study_run import StudyRun, Trainer
from search.finals.choosing import FinalsPlan, choose_finalists
from search.finals.stages import FinalModel
from search.record.budget import Spent
from search.record.study import Study
from search.run_directory.earlier import Earlier
from search.settings.experiment import Experiment
from search.space.space import Params
from search.translation.finals import FINALS
from search.translation.finals_config import Decoding, as_translation_finals
from search.translation.scoring import (
    GREEDY,
    bleu_on_valid,
    choose_decodings,
    keep_on_test,
    keep_on_valid,
    known_on_test,
    known_on_valid,
    score_on_test,
)
from search.translation.trained import TransformerSystems
from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.outcomes import Outcome
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.data.corpora.corpus import read_test
from trainables.data.corpora.scoring import Scoring
from trainables.scoring.chrf import chrf_of_sums
from trainables.scoring.ter import ter_of_sums
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.training.checkpoint import load_state
from trainables.training.evaluation import corpus_bleu, score, translate
from trainables.training.loop import train
from trainables.training.trained import load_model

CPU = torch.device("cpu")
SPACE = {
    "model.encoder_layers": {"values": [1, 2, 3]},
    "model.activation": {"values": ["relu", "gelu"]},
    "training.learning_rate": {"min": 0.001, "max": 0.01, "distribution": "log_uniform_values"},
}


def study_of(experiment: Experiment, trials: list[tuple[Params, int, float]]) -> Study:
    """With trials of these parameters, epochs and last scores."""
    study = Study(None, "search", "maximize")
    for params, epochs, last in trials:
        trial = study.add(params, experiment.space.to_optuna())
        for epoch in range(1, epochs + 1):
            study.report(trial, epoch, last)
        study.finish(trial, Outcome.COMPLETED if epochs == experiment.training.epochs else Outcome.STOPPED)
    return study


def params(layers: int, activation: str, rate: float) -> Params:
    return {"model.encoder_layers": layers, "model.activation": activation, "training.learning_rate": rate}


TRIALS = [
    (params(1, "relu", 0.0020), 4, 30.0),
    (params(1, "relu", 0.0021), 4, 31.0),  # the best
    (params(1, "relu", 0.0022), 4, 29.0),  # like it, as the first is
    (params(1, "gelu", 0.0021), 4, 20.0),
    (params(2, "relu", 0.0021), 2, 40.0),  # stopped
    (params(1, "relu", 0.0040), 2, 10.0),  # stopped
]


def chosen(top: int, **finals: Any) -> tuple[list[int], dict[int, int]]:
    experiment = Experiment.model_validate(
        {"space": SPACE, "training": {"epochs": 4}, "finals": {"top": top, **finals}}
    )
    choice = choose_finalists(study_of(experiment, TRIALS), experiment)
    return [finalist.trial for finalist in choice.finalists], choice.passed_over


def test_the_best_come_first_and_what_is_like_a_better_one_waits() -> None:
    assert chosen(1) == ([1], {})
    assert chosen(2) == ([1, 3], {0: 1, 2: 1})
    assert chosen(4) == ([1, 3, 4, 5], {0: 1, 2: 1})
    assert chosen(5) == ([1, 0, 3, 4, 5], {2: 1}), "the best of those passed over, as no others are left"
    assert chosen(9) == ([1, 0, 2, 3, 4, 5], {})
    assert chosen(3, min_distance=0) == ([1, 0, 2], {})
    assert chosen(3, min_distance=0.5) == ([1, 3, 4], {0: 1, 2: 1}), "as far from each other as that is far enough"
    assert chosen(3, min_distance=0.4) == ([1, 3, 4], {0: 1, 2: 1})
    assert chosen(4, min_distance=0.4) == ([1, 0, 3, 4], {2: 1, 5: 1}), "rates 0.28 of their range apart are alike"
    assert chosen(9, seeds=0) == ([1, 0, 2, 3], {}), "a grid ranks all that came to the end"


def test_what_decided_is_told_of_all_who_could_have_been_chosen() -> None:
    """Two finalists of equal BLEU, ahead of a third by it, were chosen by BLEU; of two alone, the loss decided."""
    finals = {"top": 2, "min_distance": 0}
    experiment = Experiment.model_validate({"space": SPACE, "training": {"epochs": 4}, "finals": finals})
    trials = [(params(layers, "relu", 0.002), 4, bleu) for layers, bleu in ((1, 30.0), (2, 30.0), (3, 20.0))]
    assert choose_finalists(study_of(experiment, trials), experiment).decided_by == "valid_bleu"
    assert choose_finalists(study_of(experiment, trials[:2]), experiment).decided_by == "valid_nll_per_char"


def test_distance_is_the_largest_difference_in_one_hyperparameter() -> None:
    space = Experiment.model_validate({"space": SPACE}).space
    one = params(1, "relu", 0.001)
    assert space.distance(one, one) == 0
    assert space.distance(one, params(2, "relu", 0.001)) == 0.5
    assert space.distance(one, params(2, "relu", 0.01)) == pytest.approx(1)
    assert space.distance(one, params(1, "relu", 0.00125)) == pytest.approx(0.0969, abs=1e-4)
    assert space.distance(one, params(1, "gelu", 0.001)) == 1
    unused: Params = {"model.activation": "relu", "training.learning_rate": 0.001}
    assert space.distance(one, unused) == space.distance(unused, one) == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, and runs/run/finals/0 with a model that kept its last three checkpoints."""
    folder = tmp_path_factory.mktemp("finals")
    write_digits(folder / "corpus")
    for _ in train(trial(folder), text_of(trial(folder), cache(folder)), checkpoints(folder), CPU, keep=3):
        pass
    return folder


def trial(folder: Path) -> TranslationConfig:
    return TranslationConfig.model_validate(
        {
            "data": {"path": str(folder / "corpus")},
            "tokenizer": {"vocab_size": 40},
            "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64},
            "training": {"epochs": 5, "batch_tokens": 256, "learning_rate": 0.005, "warmup_steps": 10},
        }
    )


def cache(folder: Path) -> Path:
    return folder / "runs" / ".cache"


def checkpoints(folder: Path) -> Path:
    return folder / "runs" / "run" / "finals" / "0"


def test_averaged_weights_are_the_mean_of_the_last_checkpoints(folder: Path) -> None:
    paths = sorted(checkpoints(folder).glob("epoch-*"))
    assert [path.name for path in paths] == ["epoch-3", "epoch-4", "epoch-5"]
    states = [load_state(path, CPU)["model"] for path in paths]
    for averaged in (1, 2, 3):
        model, _ = load_model(trial(folder), cache(folder), checkpoints(folder), averaged=averaged)
        for name, weight in model.state_dict().items():
            expected = torch.stack([state[name] for state in states[-averaged:]]).mean(dim=0)
            torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-7)
    assert not torch.equal(states[-1]["source_embedding.weight"], states[0]["source_embedding.weight"])


def test_a_final_that_was_killed_gives_the_same_average(folder: Path, tmp_path: Path) -> None:
    for stop in (1, 3, 4):
        for report, _ in train(trial(folder), text_of(trial(folder), cache(folder)), tmp_path, CPU, keep=3):
            if report.epoch == stop:
                break
    (newest, _) = newest_checkpoint(tmp_path) or (Path(), {})
    with (newest / "state.pt").open("r+b") as file:  # torn as it was written
        file.truncate(1000)
    for _ in train(trial(folder), text_of(trial(folder), cache(folder)), tmp_path, CPU, keep=3):
        pass
    whole, resumed = (
        load_model(trial(folder), cache(folder), path, averaged=3)[0].state_dict()
        for path in (checkpoints(folder), tmp_path)
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def experiment_of(folder: Path, **finals: Any) -> Experiment:
    return Experiment.model_validate(
        {**trial(folder).model_dump(), "name": "run", "output_dir": str(folder / "runs"), "finals": finals}
    )


def final_model(folder: Path, averaged: int = 1) -> FinalModel:
    last = int(newest_checkpoint(checkpoints(folder))[0].name.removeprefix("epoch-"))  # type: ignore[index]
    lines = [line_of(0, last, valid_bleu=12.5, valid_nll_per_char=0.5)]
    return FinalModel("translation", trial(folder), 7, 0, 1.0, checkpoints(folder), lines, averaged)


def test_valid_alone_says_how_to_decode(folder: Path) -> None:
    assert not (experiment_of(folder).run_dir / "finalists.json").exists(), "the test split is closed"
    mean = final_model(folder, averaged=2)
    assert known_on_valid(mean) == {}
    found = bleu_on_valid(TransformerSystems(), mean, [GREEDY, Decoding(3, 0.0), Decoding(3, 2.0)], cache(folder))
    model, tokenizer = load_model(trial(folder), cache(folder), checkpoints(folder), averaged=2)
    source, target = (
        (folder / "corpus" / f"valid.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "fr")
    )
    assert found == {
        Decoding(size, penalty): corpus_bleu(translate(model, tokenizer, source, size, penalty), target, Scoring("13a"))
        for size, penalty in ((1, 1.0), (3, 0.0), (3, 2.0))
    }
    assert len(set(found.values())) > 1
    keep_on_valid(mean, found)
    assert known_on_valid(mean) == found, "nothing is decoded twice"
    (checkpoints(folder) / "valid.json").unlink()
    assert known_on_valid(final_model(folder)) == {GREEDY: 12.5}, "one checkpoint's greedy BLEU is in its report"


def test_the_best_decoding_is_chosen_by_the_mean_of_the_seeds(folder: Path) -> None:
    experiment = experiment_of(folder, beam_size=[1, 3], length_penalty=[1.0, 2.0])
    one, two = final_model(folder), replace(final_model(folder), trial=8)
    short, long = Decoding(3, 1.0), Decoding(3, 2.0)
    valid = [
        {GREEDY: 20.0, short: 30.0, long: 31.0},
        {GREEDY: 20.0, short: 30.0, long: 20.0},
        {GREEDY: 25.0, short: 25.0, long: 24.0},
    ]
    assert choose_decodings([one, one, two], valid, as_translation_finals(experiment.finals)) == {7: short, 8: GREEDY}
    assert choose_decodings([one], [{GREEDY: 1.0}], as_translation_finals(experiment_of(folder).finals)) == {
        7: Decoding(5, 1.0)
    }


def test_a_scored_model_is_not_scored_again_unless_by_an_earlier_version(folder: Path) -> None:
    experiment, model = experiment_of(folder), final_model(folder)
    (experiment.run_dir / "finalists.json").write_text(json.dumps({"frozen_at": "now"}))
    assert known_on_test(model) is None
    test = read_test(trial(folder).data, experiment.run_dir, "a test")
    first, terms = score_on_test(TransformerSystems(), model, Decoding(2, 1.0), 12.5, test, cache(folder))
    assert first.scores == score(first.translations, test.target, Scoring("13a")) and first.valid_bleu == 12.5
    chrf, ter = (
        float(of_sums(terms[name].sum(axis=0))) for name, of_sums in (("chrf", chrf_of_sums), ("ter", ter_of_sums))
    )
    assert (chrf, ter) == pytest.approx((first.scores.chrf, first.scores.ter)), "intervals are of the same scores"
    assert first.nll_per_char is not None and 0 < first.nll_per_char < 2
    keep_on_test(model, first)
    assert known_on_test(model) == first
    old = json.loads((checkpoints(folder) / "test.json").read_text())
    del old["scores"]["ter"]
    (checkpoints(folder) / "test.json").write_text(json.dumps(old))
    assert known_on_test(model) is None


@pytest.mark.parametrize(
    ("finals", "message"),
    [
        (
            {"average_checkpoints": 2, "seeds": 0},
            "average_checkpoints: finals.seeds: 0 scores the models",
        ),
        ({"average_checkpoints": 6}, "finals.average_checkpoints: 6 is more than training.epochs 5; give 5 or less"),
        ({"beam_size": []}, "at least 1 item"),
        ({"neural_metric": "nothing"}, "'nothing' names no function; write package.module:function"),
    ],
)
def test_what_can_not_be_asked_of_the_finals(finals: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as told:
        Experiment.model_validate({"finals": finals})
    assert message in str(told.value)


def test_checkpoints_of_a_final_that_failed_do_not_stay(tmp_path: Path) -> None:
    experiment = Experiment.model_validate({"name": "run", "output_dir": str(tmp_path), "space": SPACE})
    search = study_of(experiment, TRIALS)
    folder = experiment.run_dir / "finals"

    def train(run: StudyRun) -> None:
        study, plan = run.study, cast(FinalsPlan, run.plan)
        for number, outcome in enumerate(("failed", "completed")):
            trial = study.add(plan.points[number], plan.distributions)
            (folder / str(number)).mkdir(parents=True)
            study.finish(trial, Outcome(outcome))
            for listener in run.listeners:
                listener.trial_ended(trial)
        write_lines(experiment.run_dir / "finals.jsonl", [line_of(1, valid_bleu=1.0, valid_nll_per_char=0.5)])

    trainer = SimpleNamespace(
        experiment=experiment, storage=None, train=train, checkpoints=lambda kind: Checkpoints(folder)
    )
    finals = Study(None, "finals", "maximize")
    run = FinalsRun(cast(Trainer, trainer), Earlier(experiment.run_dir))
    models = run._retrained(FinalsPlan(experiment, choose_finalists(search, experiment).finalists), finals, Spent())
    assert [model.number for model in models] == [1]
    assert [path.name for path in folder.iterdir()] == ["1"]


@pytest.mark.parametrize("seeds", [2, 0])
def test_a_finalist_is_shown_by_the_last_epochs_of_its_own_trainings(
    seeds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its best epoch is an earlier one; reports of several trainings came in turns, and one training failed."""
    write_digits(tmp_path / "corpus")
    space = {"model.encoder_layers": {"values": [1, 2, 3]}}
    finals = {"top": 3, "seeds": seeds, "min_distance": 0, "average_checkpoints": 1}
    experiment = Experiment.model_validate(
        {**experiment_of(tmp_path, **finals).model_dump(exclude={"finals", "space"}), "space": space, "finals": finals}
    )
    search = study_of(experiment, [({"model.encoder_layers": n}, 5, score) for n, score in ((1, 7), (2, 9), (3, 8))])

    def write(kind: str, bleus: dict[int, list[float]]) -> None:
        """A journal with the reports in turns; losses, too, have their best before the end."""
        lines = [
            line_of(
                number,
                epoch + 1,
                valid_bleu=trial[epoch],
                valid_nll_per_char=2 - trial[epoch] / 100,
                train_seconds=10.0 * number + epoch,
                eval_seconds=0.5,
            )
            for epoch in range(2)
            for number, trial in bleus.items()
        ]
        experiment.run_dir.mkdir(parents=True, exist_ok=True)
        write_lines(experiment.run_dir / f"{kind}s.jsonl", lines)

    own = {0: [30.0, 7.0], 1: [60.0, 9.0], 2: [20.0, 8.0]}
    write("trial", own)
    retrained = {0: [50.0, 40.0], 1: [51.0, 41.0], 2: [52.0, 42.0], 3: [53.0, 43.0]}
    spent = []

    def train(run: StudyRun) -> None:
        study, plan = run.study, cast(FinalsPlan, run.plan)
        assert (run.kind, run.expected) == ("final", 6)
        spent.append(run.spent)
        for number, point in enumerate(plan.points):  # two seeds of 1, of 2, of 0
            study.finish(
                study.add(point, plan.distributions), Outcome.COMPLETED if number in (0, 1, 3) else Outcome.FAILED
            )
        write("final", retrained)

    scored: list[FinalModel] = []

    def test_all(models: list[FinalModel], test: Any, *_: Any) -> list[Any]:
        assert len(test["test"]) == 40
        scored.extend(models)
        return [f"result of {model.number}" for model in models]

    monkeypatch.setattr(FINALS, "test", test_all)
    trainer = SimpleNamespace(
        experiment=experiment,
        storage=None,
        train=train,
        checkpoints=lambda kind: Checkpoints(experiment.run_dir / f"{kind}s"),
        keep_safe=lambda: None,
        console=SimpleNamespace(status=lambda text: nullcontext()),
        slots=SimpleNamespace(gpus=0),
    )
    earlier = Earlier(experiment.run_dir)
    monkeypatch.setattr(earlier, "spent", lambda: Spent(1, 2.0, 3.0))
    with heard() as told:
        entries = FinalsRun(cast(Trainer, trainer), earlier).run(search, Study(None, "finals", "maximize"))
    assert entries[0].models + entries[1].models + [m for e in entries[2:] for m in e.models] == scored
    if seeds:
        assert [(e.finalist.trial, [m.number for m in e.models]) for e in entries] == [(1, [0, 1]), (2, [3])]
        assert str(entries[1].results) == "['result of 3']", "of its own model, though one before it failed"
        assert told.warnings == ["trial 0 is not ranked: none of its retrainings was completed"]
        assert spent == [Spent(epochs=1 + 6, device_seconds=2 + 6 * (10.0 + 0.5 + 0.5), wall_seconds=3)]
        reports, kind = retrained, "finals"
    else:
        assert [(e.finalist.trial, [m.number for m in e.models]) for e in entries] == [
            (1, [None]),
            (2, [None]),
            (0, [None]),
        ]
        assert not told.warnings
        reports, kind = own, "trials"
    for model in scored:
        number = model.trial if model.number is None else model.number
        assert model.valid["valid_bleu"] == reports[number][1] < reports[number][0]
        assert model.valid["valid_nll_per_char"] == pytest.approx(2 - reports[number][1] / 100)
        assert model.train_seconds == 20.0 * number + 1
        assert [line.report.epoch for line in model.lines] == [1, 2]
        assert {line.trial for line in model.lines} == {number}
        assert model.folder == experiment.run_dir / kind / str(number)
        assert as_translation(model.config).model.encoder_layers == model.trial + 1
        assert model.config.seed == (experiment.seed if model.number is None else experiment.seed + 1 + number % 2)
