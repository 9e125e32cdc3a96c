"""Typical mistakes, one a row: what is printed names the file or option, the key, and what to do."""

import sys
from pathlib import Path

import pytest

from search.run import main
from search.settings.experiment import Experiment
from search.settings.stored import write_experiment

OPTIONS = [  # the command line, how the message begins, how it ends
    ("--epochs 3", "--epochs: unknown option", "did you mean --training.epochs or --search.budget.epochs?"),
    ("--heads 4", "--heads: unknown option", "did you mean --model.num_heads?"),
    ("--trainning.epochs 3", "--trainning.epochs: unknown option", "did you mean --training.epochs?"),
    ("--training.learning-rate 1", "--training.learning-rate: unknown", "did you mean --training.learning_rate?"),
    ("-config x.yaml", "-config: unknown option", "did you mean --config?"),
    ("--training 3", "--training: is a section", "set a key of it, such as training.epochs"),
    ("--training.epochs", "--training.epochs: needs a value", "such as --training.epochs 5"),
    ("--training.epochs three", "--training.epochs: ", "must be a number, got three"),
    ("--training.epochs 0", "--training.epochs: ", "must be above 0, got 0"),
    ("--data.limit 1.5", "--data.limit: ", "must be a whole number, got 1.5"),
    ("--training.learning_rate fast", "--training.learning_rate: ", "must be a number, got fast"),
    ("--training.learning_rate -1", "--training.learning_rate: ", "must be above 0, got -1"),
    ("--training.schedule cosin", "--training.schedule: must be cosine,", "did you mean cosine?"),
    ("--model.positions rotery", "--model.positions: must be sinusoidal,", "did you mean rotary?"),
    ("--tokenizer.shared maybe", "--tokenizer.shared: ", "must be true or false, got maybe"),
    ("--search.scheduler ahsa", "--search.scheduler: unknown kind 'ahsa'", "did you mean asha?"),
    ("--search.sampler gird", "--search.sampler: unknown kind 'gird'", "did you mean grid?"),
    (
        "--search.scheduler.reduction_facto 2",
        "--search.scheduler.reduction_facto: ",
        "did you mean --search.scheduler.",
    ),
    (
        "--search.scheduler median --search.scheduler.reduction_factor 2",
        "--search.scheduler.red",
        "no setting of median",
    ),
    ("--search.concurrency 0", "--search.concurrency: ", "must be 1 or more or auto, got 0"),
    ("--tracking.wandb onlin", "--tracking.wandb: must be auto,", "did you mean online?"),
    (
        "--tracking.wandb online",
        "--tracking.wandb: online, but no key is found",
        "set WANDB_API_KEY, or run `wandb login`",
    ),
    ("--model.num_heads 6", "--model.num_heads: 6 does not divide d_model 64", "use one of 1, 2, 4,"),
    ("--model.d_model 99", "--model.d_model: model.num_heads: 4 does not divide d_model 99", "use one of 1, 3, 9,"),
    ("--data.source de --data.target de", "--data.target: 'de' is the source", "name two languages"),
    ("--data.path /nowhere", "--data.path: /nowhere does not exist", "give a folder of train.en, train.fr"),
    (
        "--data.path corpus",
        "/corpus: train.fr is missing beside train.en",
        "the languages with data.source, data.target",
    ),
    ("--name a/b", "--name: 'a/b'", "use letters, digits"),
    ("--name x --data.source fr", "--data.source: data.target: 'fr' is the source", "name two languages"),
    ("--name mine", "--name: ", "choose another name, or resume it by `"),
    ("--config nowhere.yaml", "/nowhere.yaml: No such file", "name an existing YAML file with --config"),
    ("--config qickstart", "--config: qickstart: no such file", "did you mean quickstart?"),
    ("--config", "--config: needs a value", "such as --config quickstart"),
    ("x.yaml", "x.yaml: unknown command", "did you mean --config x.yaml?"),
    ("--quiet x.yaml", "x.yaml: unexpected", "did you mean --config x.yaml?"),
    ("multi30k", "multi30k: unknown command", "did you mean --config multi30k?"),
    ("serch", "serch: unknown command", "did you mean search?"),
    ("help", "help: unknown command", "did you mean --help?"),
    ("mine", "mine: unknown command", "resume runs/mine`?"),
    ("--help serach", "--help serach: no such section or key", "did you mean search?"),
    ("--help translate", "--help translate: is a command", "translate --help`"),
    ('--space {"model.d_model":[64]}', "--space: model.d_model: ", "write {values: [64]}"),
    ("--search.trials null", "--search.trials: null never ends with", "give a number, or a search.budget"),
    ("--search.budget.gpu_hour 3", "--search.budget.gpu_hour: unknown", "did you mean --search.budget.gpu_hours?"),
    ("--storage runs", "--storage: 'runs': is not an address", "a folder that is shared is output_dir"),
    ("--teardown", "--teardown: there is no cluster to end", "name it with cluster: auto, or drop teardown"),
    ("resume", "resume: name the run, as in `", "there is runs/mine"),
    ("resume min", "/min: not the directory of a run", "did you mean runs/mine?"),
    ("resume runs", "/runs: not the directory of a run", "/runs/mine"),
    ("resume mine --search.trails 5", "--search.trails: unknown option", "did you mean --search.trials?"),
    ("resume mine --training.epochs 9", "resume: training.epochs decides what is compared", "start a new search"),
    ("translate mine", "/mine: holds no best/", "resume "),
    ("translate runs/x --beam 5", "--beam: unknown option", "did you mean --beam_size?"),
    ("replay --tables nowhere", "--tables: nowhere is not a folder", "name one of tables, or the directory of a run"),
    ("fetch runs/mine", "fetch: name the run in its storage", "fetch s3://bucket/runs/NAME`"),
    ("completion zhs", "completion: zhs is not a known shell", "did you mean zsh?"),
    ("clean --outputdir runs", "--outputdir: unknown option", "did you mean --output_dir?"),
    ("configs --config x.yaml", "--config: unknown", "option; known is help"),
    ("doctor now", "now: unexpected; options begin with --", "doctor --help`"),
]
FILES = [  # the content of x.yaml
    ("training: {epocs: 3}", "x.yaml: training.epocs: unknown key", "did you mean epochs?"),
    ("epochs: 3", "x.yaml: epochs: unknown key", "did you mean training.epochs or search.budget.epochs?"),
    ("training.epochs: 3", "x.yaml: training.epochs: a key has no dots here", "write training: {epochs: 3}"),
    ("search: {budget.epochs: 30}", "x.yaml: search.budget.epochs: a key has", "write budget: {epochs: 30}"),
    ("training: 3", "x.yaml: training: is a section", "set a key of it, such as training.epochs"),
    ("model:", "x.yaml: model: is a section", "such as model.encoder_layers"),
    ("data: {path: /nowhere}", "x.yaml: data.path: /nowhere does not exist", "give a folder of train.en, train.fr"),
    (
        "tracking: {wandb: on}",
        "x.yaml: tracking.wandb: must be auto,",
        "for true and false: quote the word",
    ),
    (
        "training:\n  epochs: 3\n   seed: 1",
        "x.yaml: line 3: not valid YAML",
        "values are not allowed here: seed: 1",
    ),
    ("training:\n\tepochs: 3", "x.yaml: line 2: not valid YAML", "a tab; indent by spaces: epochs: 3"),
    ("seed: 1\ndata: {path: a", "x.yaml: line 2: not valid YAML", "it does not end: data: {path: a"),
    ("seed: 1\nseed: 2", "x.yaml: line 2: not valid YAML", "seed is given twice: seed: 2"),
    ("- seed", "x.yaml: must contain keys and values", "such as `seed: 1`, not a list"),
    ("space: {model.d_model: [64, 128]}", "x.yaml: space.model.d_model: ", "write {values: [64, 128]}"),
    ("space: {model.d_model: 64}", "x.yaml: space.model.d_model: 64 is no choice", "or set it outside of space"),
    ("space: {d_model: {values: [64]}}", "x.yaml: space.d_model: names no field", "did you mean model.d_model?"),
    (
        "space: {model: {d_model: {values: [8]}}}",
        "x.yaml: space.model.d_model: ",
        "write model.d_model: …",
    ),
    ("space: {model.d_model: {value: [8]}}", "x.yaml: space.model.d_model: value is one", "write {values: [8]}"),
    ("space: {model.positions: {values: [alibbi]}}", "x.yaml: space.model.positions: 'alibbi'", "did you mean alibi?"),
    (
        "space: {training.clip_norm: {min: 0.1, max: 1.0}}\nsearch: {sampler: grid}",
        "x.yaml: search.sampler: grid needs values, or whole-number ranges, and space.training.clip_norm is a range",
        "give it values, or a step q",
    ),
    (
        "search: {budget: {epochs: 2}}",
        "x.yaml: search.budget.epochs: 2 is too few",
        "or lower finals.top, finals.seeds or training.epochs",
    ),
]
CASES = [*OPTIONS, *((f"--config x.yaml # {text}", begins, ends) for text, begins, ends in FILES)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a run, a torn corpus and no key of W&B's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    for folder in ("corpus", "runs/mine"):
        Path(folder).mkdir(parents=True)
    Path("corpus", "train.en").write_text("A house.\n")
    write_experiment(Path("runs/mine/experiment.yaml"), Experiment.model_validate({"name": "mine"}))
    Path("runs/mine/trials.jsonl").write_text("{}\n")
    monkeypatch.setitem(sys.modules, "search.driver.preparation", None)  # what is no mistake starts nothing
    return tmp_path


@pytest.mark.parametrize(("case", "begins", "ends"), CASES)
def test_a_mistake_is_told_with_its_place_and_its_remedy(
    case: str, begins: str, ends: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, _, text = case.partition(" # ")
    (here / "x.yaml").write_text(text or "seed: 1")
    before = set(sys.modules)
    assert main(command.split()) == 2
    told = capsys.readouterr().err.strip()
    place, _, remedy = told.partition(begins)
    assert remedy and (not place or begins[0] == "/" or begins.startswith("x.yaml")), told
    assert ends in told and "\n" not in told and len(told) < 500, told
    assert not {"torch", "ray"} & (set(sys.modules) - before), "it costs seconds to be told so"


def test_a_run_is_found_by_its_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mine", "runs/mine", str(here / "runs" / "mine")):
        assert main(["resume", "--quiet", name, "--search.trials", "44", "--print_config"]) == 0
        assert "trials: 44" in capsys.readouterr().out
