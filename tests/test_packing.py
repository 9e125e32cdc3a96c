"""Trials share a GPU by the measured memory of the largest model; here on a pretended GPU."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from search.cluster.packing import largest_models, share_of_gpu
from search.settings.experiment import Experiment
from trainables.acceleration import gpu_memory
from trainables.acceleration.gpu_memory import heaviest, measure_need
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.data.encoding.batching import pair_batches
from trainables.data.encoding.preparing import prepare
from trainables.training.gpu import Need

SPACE = {
    "model.d_model": {"values": [16, 32, 64]},
    "model.encoder_layers": {"values": [1, 2, 3]},
    "training.batch_tokens": {"values": [256, 512, 1024]},
    "training.learning_rate": {"min": 0.001, "max": 0.01},
}
SMALL = {"model": {"num_heads": 4, "ffn_dim": 64}, "data": {"limit": 300}, "tokenizer": {"vocab_size": 300}}


def test_the_largest_models_of_a_space_are_found() -> None:
    found = [as_translation(each) for each in largest_models(Experiment.model_validate({**SMALL, "space": SPACE}))]
    assert (found[0].model.d_model, found[0].model.encoder_layers) == (64, 3)
    busiest = found[-1]
    assert (busiest.model.d_model, busiest.model.encoder_layers, busiest.training.batch_tokens) == (64, 3, 1024)
    assert largest_models(Experiment.model_validate(SMALL)) == [Experiment.model_validate(SMALL).trial]


@pytest.mark.parametrize(
    ("needs", "cores", "count"),
    [
        ([Need(10, 100)], 16, 9),  # with a margin
        ([Need(10, 100)], 4, 4),
        ([Need(10, 100), Need(10, 45)], 16, 4),
        ([Need(100, 100)], 16, 1),
        ([], 16, 1),
    ],
)
def test_as_many_share_a_gpu_as_fit(needs: list[Need], cores: int, count: int) -> None:
    share = share_of_gpu(needs, cores)
    assert int(1 / share) == count and count * share <= 1


def test_the_probe_trains_on_the_heaviest_batches_and_validates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TranslationConfig.model_validate(SMALL).with_values({"training.batch_tokens": 256, "model.d_model": 16})
    whole = prepare(config.data, config.tokenizer, tmp_path)
    part = heaviest(whole, config)
    assert 0 < len(part.train) < len(whole.train) and part.valid is whole.valid
    assert part.train.part(0).target.lengths.max() == whole.train.part(0).target.lengths.max()
    assert max(map(len, pair_batches(part.train.part(0), config.training))) == max(
        map(len, pair_batches(whole.train.part(0), config.training))
    )
    trained = []

    def train(config: object, prepared: object, *_: object, **__: object) -> list[None]:
        trained.append((prepared, config))
        raise torch.OutOfMemoryError("the whole GPU is taken")

    assert measure_need([config], tmp_path) is None, "no GPU"
    # PyTorch itself must not believe it: training asks it for more.
    monkeypatch.setattr(gpu_memory, "default_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (30, 100))
    assert measure_need([config], tmp_path) == Need(70, 100)
    begun: list[object] = []
    monkeypatch.setattr(gpu_memory, "choose_step", lambda *_: SimpleNamespace(begin=lambda seed: begun.append(seed)))
    monkeypatch.setattr(gpu_memory, "train", lambda *_, **__: ())
    assert measure_need([config], tmp_path) == Need(70, 100) and begun == []
    assert measure_need([config.with_values({"training.batch_shapes": 4})], tmp_path) == Need(70, 100)
    assert begun == [1], "steps of all shapes are captured"
    monkeypatch.setattr(gpu_memory, "train", train)
    assert measure_need([config, config], tmp_path) == Need(100, 100) and len(trained) == 1
