import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model.config import ModelConfig
from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.run import main
from search.settings.experiment import Experiment, experiment_class
from search.settings.problem import TRANSLATION
from trainables.base.command_line import parse_config
from trainables.base.config import digest
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import config_folder
from trainables.base.mistakes import validate
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.base.yaml_files import dump_yaml, read_yaml

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def parse(*arguments: str) -> Experiment:
    return parse_config(experiment_class(TRANSLATION), list(arguments), Program("program", "about"))[0]


@given(
    st.sampled_from([128, 256, 384]),
    st.sampled_from([1, 2, 4, 8]),
    st.floats(1e-6, 1.0),
    st.sampled_from(["pre", "post"]),
)
def test_a_written_config_reads_back_equal(d_model: int, heads: int, rate: float, norm: str) -> None:
    config = TranslationConfig().with_values(
        {"model.d_model": d_model, "model.num_heads": heads, "training.learning_rate": rate, "model.norm": norm}
    )
    assert validate(TranslationConfig, yaml.safe_load(dump_yaml(config)), "f") == config
    assert digest(config.model_dump()) != digest(config.with_values({"seed": 9}).model_dump())


def test_a_digest_is_of_the_values_and_not_of_their_order() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": 2})


@pytest.mark.parametrize("positions", get_args(ModelConfig.model_fields["positions"].annotation))
def test_a_field_is_used_beside_its_kind_of_positions_alone(positions: str) -> None:
    used = {"relative": {"model.max_distance"}, "learned": {"model.max_length"}}.get(positions, set())
    unused = TranslationConfig().with_values({"model.positions": positions}).unused
    assert unused == {"model.max_distance", "model.max_length"} - used


def test_learned_positions_reach_as_far_as_the_longest_training_pair() -> None:
    learned = {"model.positions": "learned", "model.max_length": 40}
    assert TranslationConfig().with_values({**learned, "data.max_tokens": 40}).model.max_length == 40
    with pytest.raises(ValidationError, match=r"positions end at 40, before data\.max_tokens 41"):
        TranslationConfig().with_values({**learned, "data.max_tokens": 41})


def test_values_are_frozen() -> None:
    with pytest.raises(ValidationError):
        TranslationConfig().model.d_model = 3  # type: ignore[misc]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_shipped_config_is_valid(file: Path) -> None:
    tree = read_yaml(file)
    if "parameters" in tree:  # a sweep of W&B's, whose parameters are a space of ours
        tree = {"space": tree["parameters"]}
    kind = Experiment if "space" in tree else TranslationConfig
    config = validate(kind, tree, str(file))
    assert validate(kind, yaml.safe_load(dump_yaml(config)), "f") == config


def test_the_quickstart_is_a_search() -> None:
    assert {"quickstart", "own", "multi30k", "grid32", "coursework"} <= {file.stem for file in CONFIGS}
    quickstart = Experiment.load("quickstart")
    first = SearchPlan(quickstart).propose(Study(None, "search", "maximize"))
    assert first and quickstart.trial.with_values(first.params) == quickstart.trial, "the base is tried first"
    assert quickstart.search.trials == 12, "effects and importance need so many"


def test_options_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("training: {epochs: 3, learning_rate: 0.5}\nspace: {model.d_model: {values: [128, 256]}}\n")
    experiment = parse(
        "--config", str(file), "--training.epochs", "7", "--data.limit=5", "--tracking.wandb", "disabled"
    )
    assert experiment.training.epochs == 7
    assert as_translation(experiment.trial).training.learning_rate == 0.5
    assert (as_translation(experiment.trial).data.limit, experiment.tracking.wandb) == (5, "disabled")
    unlimited = parse("--config", str(file), "--data.limit", "null").trial
    assert as_translation(unlimited).data.limit is None


@pytest.mark.parametrize("flag", ["", " true", "=True", " --name x"])
def test_a_flag_stands_alone_or_with_its_value(flag: str) -> None:
    assert parse(*f"--search.stop_when_settled{flag}".split()).search.stop_when_settled
    no = parse("--tracking.tensorboard", "false", "--tokenizer.shared=False", "--model.tied_embeddings", "decoder")
    assert (no.tracking.tensorboard, as_translation(no.trial).tokenizer.shared, no.teardown) == (False, False, False)
    assert parse("--print_config=false", "--seed", "4").seed == 4


def test_print_config_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse("--print_config", "--training.epochs", "9")
    assert stopped.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["training"]["epochs"] == 9


@pytest.mark.parametrize(
    ("topic", "lines"),
    [
        ("", ["options:", "  --config  FILE", "  --name  text (default null)", "  --teardown"]),
        ("", ["  training     The optimisation recipe."]),
        ("search.trials", ["  --search.trials  whole number (1 or more) or null (default 20)"]),
        ("all", ["  --training.epochs  number (above 0) (default 5)", "  --data.source  text (default en)"]),
        ("training", ["  --training.schedule  cosine, linear, inverse_sqrt or constant (default cosine)"]),
        (
            "search",
            ["  --search.scheduler  one of (default asha_promotion)", "      none: Trains all trials to the end"],
        ),
        ("search.budget.epochs", ["  --search.budget.epochs  whole number (1 or more) (default null)"]),
        (
            "finals.beam_size",
            ["  --finals.beam_size  whole number (1 or more) or list of whole numbers (1 or more) (default 5)"],
        ),
        (
            "tracking",
            [
                "  --tracking.tensorboard  true or false (default false)",
                "  --tracking.tags  list of texts (default [])",
            ],
        ),
    ],
)
def test_help_says_what_keys_take(
    topic: str, lines: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    for arguments in [["--help"], ["-h"]] if not topic else [["--help", topic], [f"--help={topic}"]]:
        with pytest.raises(SystemExit) as stopped:
            parse(*arguments)
        assert stopped.value.code == 0
        shown = capsys.readouterr().out.splitlines()
        assert all(line in shown for line in lines), shown


MISTAKES = {
    "tokenizer: {shared: false}": "x.yaml: model.tied_embeddings: 'all' needs one vocabulary",
    "training: {batch_sentences: 32}": "x.yaml: training.batch_sentences: set exactly one",
    "data: {path: 'a/{spilt}.txt'}": "x.yaml: data.path: the pattern",
    "search: {trials: null}": "x.yaml: search.trials: null never ends with default; give a number, or",
    "training: {epochs: 0.5}": "training.epochs: 0.5 epochs end before the first report; set report_steps, too",
    "space: {training.valid_pairs: {values: [5, 6]}}": "training.valid_pairs: decides what is compared",
    "training: {report_steps: 100}": "x.yaml: search.scheduler.rungs: missing; with training.report_steps 100 rungs",
    "training: {report_tokens: 100}": "missing; with training.report_tokens 100 rungs are counted in tokens, as in",
    "training: {report_steps: 100, report_tokens: 100}": "report_tokens: 100: reports come by tokens or by steps",
    "{training: {report_steps: 100}, search: {scheduler: {rungs: [100, 270]}}}": "270 is no multiple of "
    "training.report_steps 100; the nearest is 300",
    "{training: {report_steps: 100}, search: {scheduler: {rungs: [30]}}}": "scheduler.rungs: 30 is no multiple of",
    "{training: {report_steps: 100}, search: {scheduler: {rungs: [300, 100]}}}": "rungs: [300, 100] must rise",
    "space: {training.report_steps: {values: [1, 2]}}": "training.report_steps: decides what is compared",
    "search: {scheduler: {rungs: [9]}}": "x.yaml: search.scheduler.rungs: [9] must rise, from 1 to below",
    "search: {scheduler: {kind: asha, reduction_facto: 4}}": "search.scheduler.reduction_facto: no setting of asha; "
    "did you mean reduction_factor?",
    "search: {scheduler: gentle, reduction_factor: 4}": "search.scheduler.reduction_factor: no setting of gentle",
    "search: {scheduler: {kind: asha, reduction_factor: 1}}": "search.scheduler.reduction_factor: must be 2 or more",
    "search: {gpus_per_trial: 1.6}": "x.yaml: search.gpus_per_trial: 1.6 is neither a share of a GPU nor a number of",
    "model: {positions: learned, max_length: 100}": "model.max_length: learned positions end at 100, before data.max_",
    "tokenizer: {vocab_size: 99999999999}": "tokenizer.vocab_size: must be 1000000 or less",
    "space: {model.d_model: {values: [a]}}": "space.model.d_model: 'a' can't be its value",
    "space: {model.d_model: {min: 4}}": "space.model.d_model.values: missing",
    "space: {model.d_model: {min: 8, max: 4}}": "space.model.d_model.min: 8 must be less than max 4",
    "space: {model.d_model: {values: []}}": "space.model.d_model.values: ",
    "space: {model.num_heads: {values: [5, 7]}}": "x.yaml: space: no combination",
    "space: {training.epochs: {values: [5, 7]}}": "space.training.epochs: decides what is compared",
    "space: {tokenizer.vocab_size: {values: [500, 700]}}\nsearch: {metric: valid_loss}": (
        "x.yaml: search.metric: valid_loss can't be compared between values of tokenizer.vocab_size, which the space "
        "changes; use valid_bleu or valid_nll_per_char"
    ),
    "space: {model.d_model: {values: [64, 128]}}\nsearch: {scheduler: pbt}": (
        "x.yaml: search.scheduler: pbt hands trained weights on, so its space may contain only training.* and"
    ),
    "search: {scheduler: pbt, trials: null, budget: {epochs: 90}}": "x.yaml: search.trials: null; pbt needs the size",
    "training: {report_steps: 5}\nsearch: {scheduler: {kind: pbt, rungs: [5]}}": "search.scheduler: pbt counts in",
    "space: {training.learning_rate: {min: 0.1, max: 0.2}}\nsearch: {sampler: grid}": "x.yaml: search.sampler: grid",
    "name: ../up": "x.yaml: name: '../up': use letters",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_remedy(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as told:
        parse("--config", str(file))
    assert MISTAKES[text] in str(told.value)
    assert "\n" not in str(told.value)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("training: {epocs: 1, clip_norm: -1}\n")
    with pytest.raises(UserError) as told:
        parse("--config", str(file))
    assert len(str(told.value).splitlines()) == 2


def test_the_model_and_a_training_run_need_no_ray_optuna_or_wandb() -> None:
    code = "import sys, trainables.training.loop; sys.exit(any(m in sys.modules for m in ('ray', 'optuna', 'wandb')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_template_that_nobody_filled_in_is_told_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("training:\n  epochs: 1\n  learning_rate: {{ lr }}\n")
    with pytest.raises(UserError, match=r"x.yaml: line 3: not valid YAML: a key must be text; quote"):
        read_yaml(file)


def test_a_problem_that_is_named_alone_has_its_own_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    for problem, named in (("pretrained", "pretrained"), ("translation", "quickstart")):
        assert main(["--problem", problem, "--print_config"]) == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        expected = yaml.safe_load((config_folder() / f"{named}.yaml").read_text(encoding="utf-8"))
        assert printed["problem"] == problem and printed["space"].keys() == expected["space"].keys()
    assert main(["--problem", "command"]) == 2
    assert "name its corpus" in capsys.readouterr().err, "no keys of a translation are found unknown"
