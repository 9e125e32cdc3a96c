"""A model in the form of another program is the same function, or it is refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from architectures import CONFIGS
from corpora import text_of, write_digits
from hypothesis import given, settings
from rich.console import Console
from torch import nn

from model.config import ModelConfig
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer
from search.api.result import Result
from search.commands.export import main
from search.finals.board import LeaderboardEntry, read_leaderboard
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from search.translation.best import BestModel, read_best
from search.translation.exporting import export_best
from search.translation.finalist_export import best_seed
from search.translation.finals import FINALS
from search.translation.trained import TransformerSystems
from trainables.base.errors import UserError
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.data.corpora.cache import cached_corpus
from trainables.data.reading.text import Split
from trainables.export import ctranslate2_spec
from trainables.export.card import Origin
from trainables.export.checking import EQUAL, Comparison, Difference, score_of
from trainables.export.exporting import Destination, export
from trainables.export.forms import FORMS, refusal
from trainables.export.trained import TrainedModel

ctranslate2 = pytest.importorskip("ctranslate2", reason="needs the extra export")
transformers = pytest.importorskip("transformers", reason="needs the extra export")
OLD_RUN = Path(__file__).parent / "runs" / "0.1"
ORIGIN = Origin("trial 0 of a test", "digits.", {"test BLEU": "1.00"}, "By hand.")
SENTENCES = ["one", "two three four", "nine zero zero five six seven", "eight two six one"]


class Text:
    """Digits, and a tokenizer of 60 pieces."""

    def __init__(self, folder: Path, shared: bool = True):
        write_digits(folder / "corpus")
        cut = {"vocab_size": 60 if shared else 40, "shared": shared}
        tied = {} if shared else {"tied_embeddings": "decoder"}
        settings = {"data": {"path": str(folder / "corpus")}, "tokenizer": cut, "model": tied}
        self.config = TranslationConfig.model_validate(settings)
        self.tokenizer = text_of(self.config, folder / "cache").tokenizer
        self.valid = cached_corpus(self.config.data, folder / "cache").valid

    def model(self, shape: ModelConfig, beam_size: int = 3, length_penalty: float = 1.0) -> TrainedModel:
        """A model with random weights, norms and biases included."""
        config = self.config.model_copy(update={"model": shape})
        torch.manual_seed(0)
        network = Transformer(shape, self.tokenizer.source_vocab, self.tokenizer.target_vocab).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                nn.init.normal_(parameter, mean=float(parameter.dim() == 1), std=0.3)
        return TrainedModel(config, network, self.tokenizer, beam_size, length_penalty)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Text:
    return Text(tmp_path_factory.mktemp("text"))


@settings(max_examples=60, derandomize=True)
@given(CONFIGS)
def test_each_architecture_is_the_same_function_in_ctranslate2_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: Text, shape: ModelConfig
) -> None:
    trained, form, folder = text.model(shape), FORMS["ctranslate2"], tmp_path_factory.mktemp("model")
    why = refusal("ctranslate2", trained.config)
    assert (why or "").startswith("model.positions: transformer_xl") == (shape.positions == "transformer_xl")
    if why:
        return
    form.write(trained, folder, "float32")
    sources, network = text.tokenizer.encode_source(SENTENCES), trained.network
    targets = [ids.tolist() for ids in text.tokenizer.encode_target(SENTENCES[::-1])]
    pieces = [text.tokenizer.source_pieces(ids[:-1].tolist()) for ids in sources]
    forced = ctranslate2.Translator(str(folder), intra_threads=1).score_batch(
        pieces, [text.tokenizer.target_pieces(ids[1:-1]) for ids in targets]
    )
    found = form.load(folder, trained).translate(SENTENCES)
    for source, target, scored, translation in zip(sources, targets, forced, found, strict=True):
        ids = torch.from_numpy(source)[None]
        with torch.inference_mode():
            logits = network.output(network(ids, torch.tensor([target[:-1]])))[0]
            logits[:, [PAD, BOS]] = float("-inf")
            expected = logits.log_softmax(dim=-1).gather(1, torch.tensor(target[1:])[:, None]).squeeze(1)
        torch.testing.assert_close(torch.tensor(scored.log_probs), expected, atol=1e-3, rtol=1e-3)
        own = find_best(trained, source.tolist())
        score = score_of(network, ids, translation.ids, 1.0)
        assert own == translation.ids or score == pytest.approx(score_of(network, ids, own, 1.0), abs=1e-4)


STOCK: list[tuple[dict[str, Any], int, float]] = [  # what transformers has itself, with a beam and a length penalty
    ({"norm": "post"}, 4, 1.0),
    ({"norm": "post", "activation": "gelu", "encoder_layers": 1}, 1, 1.0),
    ({"norm": "post", "tied_embeddings": "decoder"}, 4, 0.0),
    ({"norm": "post", "tied_embeddings": "none"}, 3, 2.0),
    ({"norm": "pre"}, 4, 0.6),
    ({"norm": "pre", "activation": "gelu", "decoder_layers": 1}, 1, 1.0),
    ({"norm": "pre", "positions": "learned", "max_length": 40}, 4, 1.0),
]


@pytest.mark.parametrize(("shape", "beam_size", "length_penalty"), STOCK)
def test_a_stock_architecture_of_transformers_is_the_same_function(
    tmp_path: Path, text: Text, shape: dict[str, Any], beam_size: int, length_penalty: float
) -> None:
    config = ModelConfig(**{"d_model": 16, "num_heads": 4, "ffn_dim": 24, **shape})
    trained, lines = text.model(config, beam_size, length_penalty), text.valid.source[:12]
    assert refusal("huggingface", trained.config) is None
    form, sources = FORMS["huggingface"], text.tokenizer.encode_source(lines)
    form.write(trained, tmp_path, "float32")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    source, target = torch.tensor([[5, 9, 4, 7, EOS], [8, 4, EOS, PAD, PAD]]), torch.tensor([[BOS, 6, 4], [BOS, 10, 9]])
    with torch.inference_mode():
        theirs = model(input_ids=source, attention_mask=source != PAD, decoder_input_ids=target).logits
        ours = trained.network.output(trained.network(source, target))
    allowed = [piece for piece in range(60) if piece not in (PAD, BOS)]
    torch.testing.assert_close(theirs[..., allowed], ours[..., allowed], atol=1e-4, rtol=1e-4)
    found = form.load(tmp_path, trained).translate(lines)
    assert [each.ids for each in found] == [find_best(trained, ids.tolist()) for ids in sources]
    assert [each.text for each in found] == text.tokenizer.decode_target([each.ids for each in found])
    hostile = ["</s> one <pad>", "two  three", " one ", "zwölf <s>"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer(hostile)["input_ids"] == [ids.tolist() for ids in text.tokenizer.encode_source(hostile)]


@settings(max_examples=60, derandomize=True)
@given(CONFIGS)
def test_any_other_architecture_is_refused_for_transformers(text: Text, shape: ModelConfig) -> None:
    config = text.config.model_copy(update={"model": shape})
    why = refusal("huggingface", config) or ""
    at_fault = {
        "norm": shape.norm == "deep",
        "positions": shape.positions not in {"pre": ("sinusoidal", "learned")}.get(shape.norm, ("sinusoidal",)),
        "norm_type": shape.norm_type == "rms",
        "activation": shape.gated,
        "num_kv_heads": shape.kv_heads < shape.num_heads,
        "tied_embeddings": shape.norm == "pre" and shape.tied_embeddings != "all",
    }
    named = why.partition(":")[0].removeprefix("model.")
    assert at_fault.get(named, False) if why else not any(at_fault.values()), why


def test_vocabularies_of_each_side_go_to_transformers_and_ctranslate2(tmp_path: Path) -> None:
    apart = Text(tmp_path / "text", shared=False)
    for form in FORMS.values():
        trained = apart.model(ModelConfig(d_model=16, num_heads=2, ffn_dim=16, norm="post", tied_embeddings="decoder"))
        folder = tmp_path / form.installs[1]
        folder.mkdir()
        form.write(trained, folder, "float32")
        found = [each.ids for each in form.load(folder, trained).translate(SENTENCES)]
        assert found == [find_best(trained, ids.tolist()) for ids in apart.tokenizer.encode_source(SENTENCES)]


def find_best(trained: TrainedModel, source: list[int]) -> list[int]:
    from model.decoding import beam_search

    return beam_search(trained.network, torch.tensor([source]), trained.beam_size, trained.length_penalty)[0]


@pytest.mark.parametrize(("beam_size", "length_penalty"), [(1, 1.0), (4, 0.0), (4, 0.6), (4, 2.0)])
def test_decoding_is_the_same_with_each_beam_and_length_penalty(
    tmp_path: Path, text: Text, beam_size: int, length_penalty: float
) -> None:
    trained = text.model(ModelConfig(d_model=16, num_heads=2, ffn_dim=16), beam_size, length_penalty)
    form = FORMS["ctranslate2"]
    form.write(trained, tmp_path, "float32")
    found = form.load(tmp_path, trained).translate(text.valid.source)
    assert [translation.ids for translation in found] == [
        find_best(trained, ids.tolist()) for ids in text.tokenizer.encode_source(text.valid.source)
    ]


def test_an_export_has_a_card_and_leaves_the_model_as_it_was(tmp_path: Path, text: Text) -> None:
    trained, folder = text.model(ModelConfig(d_model=16, num_heads=2, ffn_dim=16)), tmp_path / "new" / "model"
    before = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    comparisons = export(trained, Destination("ctranslate2", folder, "int8"), text.valid, ORIGIN)
    assert comparisons["float32"].equal == 40 and comparisons["int8"].lines == 40
    torch.testing.assert_close(trained.network.state_dict(), before, msg="quantized in place")
    assert [file.name for file in folder.parent.iterdir()] == ["model"], "no draft is left"
    front, _, card = (folder / "README.md").read_text().removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(front) == {
        "language": ["en", "fr"],
        "tags": ["translation"],
        "pipeline_tag": "translation",
        "library_name": "ctranslate2",
    }
    assert '| model.positions | "sinusoidal" |' in card and "| int8 |" in card and "## Licence" in card


def test_an_export_that_translates_otherwise_is_refused_and_leaves_nothing(
    tmp_path: Path, text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, write = text.model(ModelConfig(d_model=16, num_heads=2, ffn_dim=16)), ctranslate2_spec.write

    def spoil(network: Transformer, *others: object) -> None:
        other = Transformer(network.config, 60, 60)
        other.load_state_dict(network.state_dict())
        nn.init.normal_(other.decoder_layers[0].feed_forward.contract.weight)
        write(other, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(ctranslate2_spec, "write", spoil)
    with pytest.raises(UserError, match=r"is another one: it translates \d+ of 40 lines"):
        export(trained, Destination("ctranslate2", tmp_path / "model"), text.valid, ORIGIN)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("lines", "gaps", "refused"),
    [(1000, [0.001] * 5, False), (1000, [0.001] * 6, True), (1000, [0.5], True), (10, [], False), (10, [0.0], True)],
)
def test_few_lines_may_differ_and_only_by_rounding(lines: int, gaps: list[float], refused: bool) -> None:
    found = Comparison(lines, 30.0, 30.0, [Difference(n, "a", "b", gap) for n, gap in enumerate(gaps, 1)])
    assert (found.equal < EQUAL * lines or max(gaps, default=0.0) > 0.1) == refused
    if refused:
        with pytest.raises(UserError, match="nothing was exported"):
            found.require_equal()
    else:
        found.require_equal()
    Comparison(1000, 30.0, 30.0, [Difference(1, "a a a", "a a", 0.5, endless=True)]).require_equal()


def test_what_can_not_be_exported_is_refused_before_any_work(tmp_path: Path, text: Text) -> None:
    shape = ModelConfig(d_model=16, num_heads=2, ffn_dim=16)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    trained = text.model(shape)
    unknown = text.model(shape.model_copy(update={"positions": "transformer_xl"}))
    for model, destination, message in (
        (
            unknown,
            Destination("ctranslate2", tmp_path / "new"),
            "model.positions: transformer_xl is not in CTranslate2",
        ),
        (trained, Destination("ctranslate2", tmp_path / "full"), "full: holds files; name an empty or a new folder"),
        (
            trained,
            Destination("ctranslate2", tmp_path / "new", "int4"),
            "ctranslate2 has float32, .*not int4",
        ),
    ):
        with pytest.raises(UserError, match=message):
            export(model, destination, Split([], []), ORIGIN)


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_RUN, tmp_path / "old"))


@pytest.mark.parametrize("form", ["ctranslate2", pytest.param("huggingface", marks=pytest.mark.rare)])
def test_a_run_is_exported_and_its_model_card_translates(
    old_run: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = old_run / "best-model"
    assert main([str(old_run), "--to", form, str(folder)], Console(width=200)) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("float32: valid BLEU ") and out[0].endswith("of 500 lines like the model itself")
    assert out[-1] == str(folder)
    data = as_translation(Result(old_run).experiment.trial).data
    lines = cached_corpus(data, old_run.parent / ".cache").valid.source[:50]
    program = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(program.replace('"./', f'"{folder}/').replace('(".")', f'("{folder}")'), names)
    pairs = zip(names["translate"](lines), Result(old_run).translate(lines), strict=True)
    ended = [(theirs, ours) for theirs, ours in pairs if len(ours) < 60]  # the others end at a limit
    assert len(ended) > 20 and all(theirs == ours for theirs, ours in ended), "as the model card says"


def test_a_finalist_is_exported_from_python(old_run: Path) -> None:
    trial = int(Result(old_run).ranking["trial"][0])
    assert Result(old_run).export("ctranslate2", old_run / "named", trial=trial)["float32"].lines == 500
    card = (old_run / "named" / "README.md").read_text()
    assert f"trial {trial} of the search" in card and re.search(
        r"\| test_bleu \| [\d.e-]+ \(95% interval [\d.e-]+ to", card
    )
    assert re.search(r"\| test_chrf \| [\d.]+ \|", card) and "| signature of bleu | nrefs:1" in card


def finalist(experiment: Experiment, entry: LeaderboardEntry) -> BestModel:
    return TransformerSystems().read_finalist(*best_seed(experiment, entry), experiment.cache)


def test_a_finalist_is_read_from_its_checkpoints_while_they_are_there(old_run: Path) -> None:
    experiment, board = stored_experiment(old_run), read_leaderboard(old_run / "leaderboard.json")
    best, found = read_best(old_run), finalist(experiment, board.ranking[0])
    assert found.config.model == best.config.model and found.decoding == best.decoding
    torch.testing.assert_close(found.model.state_dict(), best.model.state_dict())
    (old_run / "finals" / "0" / "test.json").unlink()
    with pytest.raises(UserError, match=r"lacks the results of trial \d+; .* writes them again"):
        finalist(experiment, board.ranking[0])
    shutil.rmtree(old_run / "finals" / "0" / "epoch-4")
    with pytest.raises(UserError, match=r"has no checkpoint of trial \d+ any more"):
        finalist(experiment, board.ranking[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "export: name a run, a form and a folder, as in"),
        (["RUN", "--to", "marian", "x"], "--to: .*ctranslate2"),
        (["RUN", "--to", "ctranslate2", "x", "--trial", "77"], "--trial: 77 is not a finalist of .*; it has "),
        (["nowhere", "--to", "ctranslate2", "x"], "nowhere: holds no best/"),
    ],
)
def test_a_wrong_command_is_one_sentence(old_run: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main([str(old_run) if argument == "RUN" else argument for argument in arguments], Console())


def test_a_search_proposes_only_what_can_be_exported(tmp_path: Path) -> None:
    space = {"model.positions": {"values": ["transformer_xl", "rotary"]}}
    searched = Experiment.load(**{"space": space, "search.exportable": "ctranslate2", "output_dir": str(tmp_path)})
    accepted = [searched.accept({"model.positions": kind}) for kind in ("transformer_xl", "rotary")]
    assert accepted == [None, {"model.positions": "rotary"}]
    with pytest.raises(UserError, match="no combination of its values makes a valid trial that can be exported for"):
        Experiment.load(
            "quickstart",
            **{"space": {"model.positions": {"values": ["transformer_xl"]}}, "search.exportable": "ctranslate2"},
        )


def test_a_search_exports_its_best_model_at_its_end_or_warns(
    old_run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = stored_experiment(old_run)
    finals = experiment.finals.model_copy(update={"export": ("ctranslate2",)})
    experiment, systems = experiment.model_copy(update={"finals": finals}), TransformerSystems()
    earlier = old_run / "export" / "ctranslate2" / "of an earlier best model"
    earlier.mkdir(parents=True)
    export_best(systems, experiment)
    assert (old_run / "export" / "ctranslate2" / "model.bin").is_file() and not caplog.messages
    assert not earlier.exists()
    best = read_best(old_run)
    foreign = best.config.model_copy(update={"model": ModelConfig(positions="transformer_xl")})
    monkeypatch.setattr(systems, "read_best", lambda experiment: replace(best, config=foreign))
    export_best(systems, experiment)
    assert "finals.export: ctranslate2: model.positions: transformer_xl is not in CTranslate2" in caplog.text
    assert not (old_run / "export" / "ctranslate2").exists()
    monkeypatch.setattr("trainables.base.extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"finals\.export: ctranslate2: needs ctranslate2, which is not installed: pip"):
        FINALS.check(experiment)
