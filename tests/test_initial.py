"""A training that starts from another run's best model: its weights and tokenizer, what differs, what stays frozen."""

from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import text_of, write_digits

from search.settings.experiment import Experiment
from search.translation.best import BestModel, write_best
from search.translation.finals_config import Decoding
from search.translation.preparation import PREPARATION
from trainables.acceleration.stackable import can_train_as_one
from trainables.base.errors import UserError
from trainables.base.translation_config import TranslationConfig
from trainables.single_run import train_model
from trainables.training.initial import PARTS, check_initial, initial_files
from trainables.training.learner import Learner
from trainables.training.loop import train

CPU = torch.device("cpu")
MODEL = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "num_heads": 2, "ffn_dim": 32}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[TranslationConfig, Path]:
    """A model that has learned a little, in best/ of a run."""
    folder = tmp_path_factory.mktemp("first")
    config = TranslationConfig.model_validate(
        {
            "data": {"path": str(write_digits(folder / "digits"))},
            "tokenizer": {"vocab_size": 60},
            "model": MODEL,
            "training": {"epochs": 2, "batch_tokens": 200, "warmup_steps": 2},
        }
    )
    text = text_of(config, folder / "cache")
    *_, (_, network) = train(config, text, device=CPU)
    (folder / "run").mkdir()
    write_best(folder / "run", BestModel(config, network, text.tokenizer, Decoding(1, 1.0)), ["un"])
    return config, folder


def starting(first: tuple[TranslationConfig, Path], **changes: Any) -> TranslationConfig:
    """A configuration that starts from that model, on other sentences."""
    config, folder = first
    other = str(write_digits(folder / "other", seed=1))
    tree = {**config.model_dump(), "data": {"path": other}}
    tree["model"] = {**tree["model"], "init_from": str(folder / "run" / "best")}
    return TranslationConfig.model_validate(tree).with_values({k.replace("__", "."): v for k, v in changes.items()})


def test_it_starts_where_the_other_run_ended(first: tuple[TranslationConfig, Path]) -> None:
    before, folder = first
    config = starting(first, model__dropout=0.3)
    old, new = text_of(before, folder / "cache"), text_of(config, folder / "cache")
    assert new.tokenizer.digest() == old.tokenizer.digest(), "taken over, not learned from the other sentences"
    *_, (report, _) = train(before, old, device=CPU)
    learner = Learner(config, new, CPU)
    learner.model.eval()
    found = learner.reference_loss(old.valid) / old.valid.target_tokens
    assert found == pytest.approx(report.score("valid_loss"), rel=1e-6)


@pytest.mark.parametrize("tied", ["all", "none"])
def test_it_starts_from_the_folder_of_one_training(first: tuple[TranslationConfig, Path], tied: str) -> None:
    """The folder has the last weights, the configuration and the tokenizer; the old corpus is not needed."""
    folder = first[1] / f"single-{tied}"
    before = first[0].with_values({"model.tied_embeddings": tied})
    network, tokenizer = train_model(before, first[1] / "cache", folder, 1)
    config = starting(first, model__tied_embeddings=tied, model__init_from=str(folder), tokenizer__taken_from=None)
    assert config.tokenizer.taken_from == str(folder)
    check_initial(config)
    text = text_of(config, first[1] / "cache")
    assert text.tokenizer.digest() == tokenizer.digest()
    learner = Learner(config, text, CPU)
    expected = dict(network.named_parameters())
    for name, tensor in learner.model.named_parameters():
        assert torch.equal(tensor, expected[name]), name
    assert [file.name for file in initial_files(config)] == ["state.pt", "tokenizer.model"]
    (folder / "epoch-2" / "state.pt").write_bytes(b"torn")
    assert initial_files(config)[0].parent.name == "epoch-1", "the newest that is whole"


@pytest.mark.parametrize("parts", [(), ("encoder", "embeddings"), ("decoder",)])
def test_frozen_parts_stay_as_they_were(first: tuple[TranslationConfig, Path], parts: tuple[str, ...]) -> None:
    config = starting(first, training__freeze=parts, training__epochs=1)
    text = text_of(config, first[1] / "cache")
    learner = Learner(config, text, CPU)
    assert all(each.requires_grad for each in learner.optimizer.parameters)
    before = {name: tensor.clone() for name, tensor in learner.model.named_parameters()}
    *_, (_, network) = train(config, text, device=CPU)
    frozen = tuple(begin for part in parts for begin in PARTS[part])  # type: ignore[index]
    for name, tensor in network.named_parameters():
        assert torch.equal(tensor, before[name]) == (bool(frozen) and name.startswith(frozen)), name
    seeds = [config.with_values({"training.batch_shapes": 2, "seed": seed}) for seed in (1, 2)]
    assert can_train_as_one(seeds) == (not parts)


def test_what_differs_is_named(first: tuple[TranslationConfig, Path]) -> None:
    config = starting(first, model__d_model=32, tokenizer__vocab_size=70, model__dropout=0.5)
    experiment = Experiment.model_validate({**config.model_dump(), "output_dir": str(first[1]), "name": "x"})
    with pytest.raises(UserError, match=r"another architecture; write model\.d_model: 16, tokenizer\.vocab_size: 60$"):
        PREPARATION.prepare(experiment, None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"lacks model\.safetensors; name best/ of a run that has ended, or the folder"):
        check_initial(starting(first, model__init_from=str(first[1]), tokenizer__taken_from=None))


def test_the_space_has_nothing_that_the_weights_decide(first: tuple[TranslationConfig, Path]) -> None:
    tree = {**starting(first).model_dump(), "output_dir": str(first[1]), "name": "x"}
    wide = Experiment.model_validate({**tree, "space": {"model.num_heads": {"values": [2, 4]}}})
    with pytest.raises(UserError, match=r"space: model\.num_heads: is decided by the model"):
        PREPARATION.prepare(wide, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="decides what is compared"):
        Experiment.model_validate({**tree, "space": {"model.init_from": {"values": ["a", "b"]}}})


def test_a_model_that_changed_is_refused(first: tuple[TranslationConfig, Path], tmp_path: Path) -> None:
    config, folder = first
    text = text_of(config, folder / "cache")
    write_best(tmp_path, BestModel(config, Learner(config, text, CPU).model, text.tokenizer, Decoding(1, 1.0)), ["un"])
    trial = starting(first, model__init_from=str(tmp_path / "best"), tokenizer__taken_from=None)
    tree = {**trial.model_dump(), "output_dir": str(folder), "name": "x"}
    experiment = Experiment.model_validate(tree)
    known = PREPARATION.pin_data(experiment, {})
    assert PREPARATION.pin_data(experiment, known) == known
    weights = tmp_path / "best" / "model.safetensors"
    assert weights in PREPARATION.files(experiment.trial)
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="changed since this run began; restore it"):
        PREPARATION.pin_data(experiment, known)
    with pytest.raises(UserError, match="was changed since its run; restore it"):
        Learner(trial, text, CPU)
