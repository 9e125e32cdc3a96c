"""A training with patience ends when its loss no longer falls, keeps its best model, and can be killed anywhere."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import text_of, write_digits
from pydantic import ValidationError
from reports import line_of
from test_training import CPU, equal, tiny
from torch import Tensor

from search.record.journal import Totals
from search.settings.experiment import Experiment
from trainables.acceleration.stackable import can_train_as_one
from trainables.base.report import EpochReport
from trainables.base.translation_config import TranslationConfig
from trainables.training.evaluation import reference_loss
from trainables.training.loop import train
from trainables.training.patience import LOSS, Patience
from trainables.training.trained import load_model

Course = list[tuple[EpochReport, dict[str, Tensor]]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"), train=100, valid=40)


def course(config: TranslationConfig, corpus: Path, checkpoints: Path | None = None, reports: int = 99) -> Course:
    """The reports, without what a clock says, each with the weights; stopped after so many."""
    found: Course = []
    for report, model in train(config, text_of(config, corpus / "cache"), checkpoints, CPU):
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        found.append((replace(report, train_seconds=0, eval_seconds=0), weights))
        if len(found) == reports:
            break
    return found


def patient(corpus: Path, patience: int | None = 1, **values: Any) -> TranslationConfig:
    """A training whose rate is too high to learn for long."""
    rates = {"training__learning_rate": 0.1, "training__schedule": "constant", "training__epochs": 12}
    return tiny(corpus, **{**rates, "training__patience": patience, "training__valid_pairs": 20, **values})


def test_it_ends_with_the_best_report_and_its_model(corpus: Path) -> None:
    plain, found = course(patient(corpus, patience=None), corpus), course(patient(corpus), corpus)
    losses = [report.score(LOSS) for report, _ in plain]
    last = next(place for place in range(1, len(losses)) if losses[place] >= min(losses[:place]))
    assert 0 < last < 9, "it ends early"
    trained, repeated, (final, weights) = found[: last + 1], found[last + 1 : -1], found[-1]
    assert [report for report, _ in trained] == [report for report, _ in plain[: last + 1]], (
        "until then, it is the same"
    )
    best, best_weights = trained[last - 1]
    assert [report.epoch for report, _ in found] == list(range(1, 13))
    for report, kept in repeated:
        assert report.figures == {**best.figures, "tokens": 0} and report.repeats and equal(kept, best_weights)
        assert report.train_seconds == report.eval_seconds == 0
    assert equal(weights, best_weights) and final.repeats
    config, prepared = patient(corpus), text_of(patient(corpus), corpus / "cache")
    valid, text = prepared.valid_sample(None)
    checkpoints = corpus / "kept"
    course(config, corpus, checkpoints)
    model, _ = load_model(config, corpus / "cache", checkpoints)
    assert final.score(LOSS) == pytest.approx(reference_loss(model, valid) / sum(map(len, text.target)), rel=1e-6)


def test_a_training_that_is_not_over_keeps_its_best_model_too(corpus: Path) -> None:
    """Its last report is of all validation pairs, so it is not compared with those before as it is."""
    found = course(patient(corpus, patience=50), corpus)
    plain = course(patient(corpus, patience=None), corpus)
    assert [report for report, _ in found[:-1]] == [report for report, _ in plain[:-1]]
    sample = course(patient(corpus, patience=None, training__epochs=13), corpus)[:12]  # its twelfth is on the sample
    losses = [report.score(LOSS) for report, _ in plain[:-1]] + [sample[-1][0].score(LOSS)]
    best = losses.index(min(losses))
    assert equal(found[-1][1], plain[best][1]) and not found[-1][0].repeats


@pytest.mark.parametrize(
    "values",
    [{}, {"training__ema_decay": 0.5}, {"training__epochs": 3.0, "training__report_steps": 2}],
    ids=["weights", "their average", "by steps"],
)
def test_killed_it_ends_the_same(values: dict[str, Any], corpus: Path, tmp_path: Path) -> None:
    config = patient(corpus, **values)
    whole = course(config, corpus)
    assert any(report.repeats for report, _ in whole)
    first = next(place for place, (report, _) in enumerate(whole) if report.repeats)
    for reports in (1, first - 1, first, first + 1, len(whole) - 1):  # around the one that ends it
        folder = tmp_path / str(reports)
        course(config, corpus, folder, reports)
        (again, *rest) = course(config, corpus, folder)
        assert again[0] == whole[reports - 1][0]
        for (report, weights), (expected, expected_weights) in zip(rest, whole[reports:], strict=True):
            assert report == expected and equal(weights, expected_weights)


def test_the_last_checkpoint_has_no_more_than_without_patience(corpus: Path, tmp_path: Path) -> None:
    course(patient(corpus, training__epochs=2), corpus, tmp_path)
    first, last = (torch.load(tmp_path / f"epoch-{n}" / "state.pt", weights_only=True) for n in (1, 2))
    assert first.keys() - last.keys() == {"patience"}


def test_what_was_not_trained_costs_nothing() -> None:
    totals = Totals(
        [line_of(0, 1, tokens=9), line_of(0, 2, tokens=0), line_of(0, 3, tokens=0), line_of(1, 2, tokens=9)]
    )
    assert totals.epochs == 3


def test_equal_losses_are_no_better() -> None:
    patience, report = Patience(2), line_of(0, 1, valid_nll_per_char=1.0).report
    for _ in range(3):
        assert not patience.is_over
        patience.see(report, {})
    assert patience.is_over


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"finals": {"average_checkpoints": 2}}, "finals.average_checkpoints: with training.patience"),
        ({"search": {"scheduler": "pbt"}}, "training.patience: pbt goes on from trials that have ended"),
    ],
)
def test_what_can_not_be_had_with_patience_is_refused(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Experiment.model_validate({"training": {"patience": 3, "epochs": 8}, **tree})


def test_it_trains_alone() -> None:
    config = TranslationConfig().with_values({"training.batch_shapes": 4})
    assert can_train_as_one([config, config.with_values({"seed": 2})])
    patient = config.with_values({"training.patience": 2})
    assert not can_train_as_one([patient, patient.with_values({"seed": 2})])
