"""How long models take for a sentence, measured and fitted."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import text_of, write_digits
from pydantic import ValidationError

from model.decoding import beam_hypotheses, greedy_search
from model.special_tokens import EOS
from model.transformer import Transformer
from search.run import main
from trainables.base.errors import UserError
from trainables.base.translation_config import TokenizerConfig, TranslationConfig
from trainables.timing import measuring
from trainables.timing.config import SpeedConfig
from trainables.timing.engines import open_engine
from trainables.timing.fitting import error_of_fit, fit_speed, operations
from trainables.timing.measuring import Candidate, Timing, measure, shape_of
from trainables.timing.workload import Batch, Workload, make_workload

SHAPES: dict[str, list[Any]] = {
    "encoder_layers": [1, 2, 4, 6],
    "decoder_layers": [1, 2, 4, 6],
    "d_model": [64, 128, 256, 512],
    "ffn_dim": [256, 1024, 2048],
    "num_heads": [2, 4, 8],
    "activation": ["relu", "swiglu"],
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("corpus") / "digits")


def configured(corpus: Path, **model: Any) -> TranslationConfig:
    small = {"d_model": 16, "num_heads": 2, "ffn_dim": 16, "encoder_layers": 1, "decoder_layers": 1}
    settings = {"data": {"path": str(corpus)}, "tokenizer": {"vocab_size": 60}, "model": {**small, **model}}
    return TranslationConfig.model_validate(settings)


@pytest.mark.parametrize("beam", [1, 3])
def test_translations_get_the_lengths_that_are_asked_for(corpus: Path, beam: int) -> None:
    network = Transformer(configured(corpus).model, 60, 60).eval()
    with torch.no_grad():
        network.output.weight[EOS] += 1.0  # so that it would end early
    source, lengths = torch.tensor([[5, 6, EOS], [7, 8, EOS], [9, 9, EOS]]), torch.tensor([1, 7, 40])
    if beam == 1:
        found = greedy_search(network, source, lengths)
    else:
        found = [hypotheses[0].ids for hypotheses in beam_hypotheses(network, source, beam, lengths=lengths)]
    assert [len(ids) + 1 for ids in found] == lengths.tolist(), "with the end, beyond the limit of 2 S + 10, too"


def test_the_work_is_that_of_the_references_in_batches_of_similar_length(corpus: Path, tmp_path: Path) -> None:
    config = configured(corpus)
    prepared = text_of(config, tmp_path)
    work = make_workload(config, 15, 4, tmp_path)
    lengths = [length for batch in work.batches for length in batch.lengths]
    assert (
        lengths == sorted(lengths) and work.sentences == 15 and [len(b.sources) for b in work.batches] == [4, 4, 4, 3]
    )
    references = (prepared.valid.target.lengths - 1).tolist()  # EOS counts, BOS does not
    assert set(lengths) <= set(references)
    assert make_workload(config, 1000, 4, tmp_path).sentences == 40, "no more than there are"
    shape = config.model.model_copy(update={"positions": "learned", "max_length": 6})
    learned = config.model_copy(update={"model": shape})
    cut = make_workload(learned, 15, 4, tmp_path)
    assert max(len(ids) for batch in cut.batches for ids in batch.sources) == 6
    assert all(ids[-1] == EOS for batch in cut.batches for ids in batch.sources)


@pytest.mark.parametrize("engine", ["babeltune", "ctranslate2"])
def test_models_are_measured_in_turn_and_a_larger_one_takes_longer(
    corpus: Path, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "ctranslate2":
        pytest.importorskip("ctranslate2", reason="needs the extra export")
    small, large = configured(corpus), configured(corpus, d_model=256, ffn_dim=1024, decoder_layers=4)
    setup = SpeedConfig.model_validate({"engine": engine, "lines": 4})
    before = torch.get_num_threads()
    same, first, second = measure([small, small, large], setup, tmp_path)
    assert same == first and 0 < first.seconds_per_sentence < second.seconds_per_sentence
    assert torch.get_num_threads() == before
    monkeypatch.setattr(measuring, "TOGETHER", 1)  # one model at a time
    alone = [timing.seconds_per_sentence for timing in measure([large, small, large], setup, tmp_path)]
    assert alone[0] == alone[2] > alone[1]


def test_passes_are_repeated_until_the_error_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 1.0, 4.0, 4.0, 6.0, *(time for each in range(17) for time in (each, each + 2.0))])
    monkeypatch.setattr("time.process_time", lambda: next(clock))

    class Still:
        def run(self, batch: Batch) -> None:
            assert batch.lengths == [3, 3]

    work = Workload(None, [Batch([], [3, 3])])  # type: ignore[arg-type]
    timed = Candidate(work, Still(), SpeedConfig())
    monkeypatch.setattr(Workload, "sentences", 2)
    monkeypatch.setattr(Workload, "tokens", (4.0, 3.0))
    passes = 0
    while not timed.is_done:
        timed.time()
        passes += 1
    assert (
        3 < passes < 20 and timed.timing.error <= 0.05 and timed.timing.seconds_per_sentence == pytest.approx(1.0, 0.1)
    )
    assert Timing(1.0, math.inf, 4.0, 3.0) == Candidate(work, Still(), SpeedConfig(), [1.0]).timing


def test_an_untrained_model_does_the_work_of_a_trained_one(corpus: Path, tmp_path: Path) -> None:
    config, setup = configured(corpus), SpeedConfig(lines=10, beam=2)
    work = make_workload(config, setup.lines, setup.batch, tmp_path)
    steps: list[int] = []
    for scale in (0.1, 3.0):  # weights of different sizes end differently
        network = Transformer(config.model, 60, 60)
        step = network.decode_step
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale)
        steps.append(0)

        def counted(*given: Any, step: Any = step) -> Any:
            steps[-1] += 1
            return step(*given)

        network.decode_step = counted  # type: ignore[method-assign,assignment]
        with open_engine(config, work, setup, network) as engine:
            for batch in work.batches:
                engine.run(batch)
    assert steps[0] == steps[1] == sum(max(batch.lengths) for batch in work.batches)


def test_the_shape_is_what_the_time_depends_on(corpus: Path) -> None:
    base = configured(corpus)
    same = [configured(corpus, dropout=0.3), configured(corpus, max_distance=3)]  # sinusoids have no distance
    other = [configured(corpus, ffn_dim=32), configured(corpus, positions="rotary"), configured(corpus, norm="post")]
    assert {shape_of(config) for config in same} == {shape_of(base)}
    assert shape_of(base) not in {shape_of(config) for config in other}


def test_a_setup_that_can_not_be_is_refused(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="quantization: babeltune has float32 alone, not int8"):
        SpeedConfig(quantization="int8")
    setup, foreign = SpeedConfig(engine="ctranslate2"), configured(corpus, positions="transformer_xl")
    monkeypatch.setattr("trainables.base.extras.find_spec", lambda name: name)
    with pytest.raises(UserError, match=r"model\.positions: transformer_xl is not in CTranslate2"):
        measure([foreign], setup, tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=r"search\.speed\.device: cuda: PyTorch finds no GPU on this machine; use cpu"):
        measure([configured(corpus)], SpeedConfig(device="cuda"), tmp_path)
    monkeypatch.setattr("trainables.base.extras.find_spec", lambda name: None)
    with pytest.raises(
        UserError,
        match=r"search\.speed\.engine: needs ctranslate2, which is not installed: pip install 'babeltune\[export\]'",
    ):
        measure([configured(corpus)], setup, tmp_path)


def test_the_command_prints_the_seconds(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = f"--output_dir {tmp_path} --data.path {corpus} --tokenizer.vocab_size 60 --search.speed.lines 3"
    assert main(["time", "quickstart", *options.split()]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert " seconds a sentence (standard error " in first
    assert second == "babeltune in float32, cpu, 1 thread, batches of 1, beam 5"
    assert main(["time", "quickstart", "--config", "multi30k"]) == 2


def test_a_fit_finds_the_costs_of_operations_and_predicts_other_shapes(corpus: Path) -> None:
    rng = random.Random(0)

    def drawn(vocabulary: int) -> TranslationConfig:
        shape = {name: rng.choice(values) for name, values in SHAPES.items()}
        config = configured(corpus, **shape)
        return config.model_copy(update={"tokenizer": TokenizerConfig(vocab_size=vocabulary)})

    def timed(config: TranslationConfig) -> Timing:
        tokens = 40 / math.log(config.tokenizer.vocab_size), 30 / math.log(config.tokenizer.vocab_size)
        done = operations(config, *tokens, cache=2**21)
        seconds = 1e-3 + 2e-12 * done[2] + 5e-5 * done[7] + 3e-12 * done[8] + 1e-9 * done[14] + 1e-11 * done[15]
        return Timing(seconds * rng.uniform(0.97, 1.03), 0.03, *tokens)

    measured = [drawn(rng.choice([500, 4000])) for _ in range(30)]
    timings = [timed(config) for config in measured]
    predict = fit_speed(measured, timings)
    unseen = [drawn(vocabulary) for vocabulary in (500, 4000, 2000) for _ in range(20)]
    errors = [abs(math.log(predict(config) / timed(config).seconds_per_sentence)) for config in unseen]
    assert max(errors) < 0.2 and sum(errors) / len(errors) < 0.04
    assert 0.01 < error_of_fit(measured, timings) < 0.06
    assert predict(measured[0]) > 0 and all(predict(config) > 0 for config in unseen)
