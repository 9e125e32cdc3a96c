"""Problems of a user's own: the example is searched and killed; mistakes in such code are sentences."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_run import COMMAND, run

from examples.moons import MOONS, Classifier, MoonsConfig
from search import EpochTraining, Experiment, Metric, Problem, TrainingConfig, TrialConfig, UserError, load_run
from search.finals.items import choose_best
from search.finals.stages import FinalModel
from search.record.journal import JournalLine, read_lines
from search.settings.known_runs import KEPT
from search.settings.problem import find_problem
from trainables.base.config import flatten
from trainables.base.errors import Diverged, TooLarge
from trainables.base.report import EpochReport
from trainables.scoring.metrics import mean_of_sums

ROOT = Path(__file__).parents[1]
NAMED = "examples.moons:MOONS"
TIMES = ("train_seconds", "eval_seconds", "time", "seal")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moons")
    tree = yaml.safe_load((ROOT / "examples" / "moons.yaml").read_text())
    tree |= {"output_dir": str(folder / "runs"), "training": {"epochs": 4}}
    tree["search"] |= {"trials": 7, "concurrency": 2, "deterministic": True}
    file = folder / "moons.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> Path:
    done = run("--config", str(config), "--name", "undisturbed")
    assert done.returncode == 0, done.stderr
    assert "Ranking by test accuracy" in done.stdout
    return config.parent / "runs" / "undisturbed"


def numbers(run_dir: Path, name: str) -> list[dict[str, Any]]:
    lines = [line.stored() for line in read_lines(run_dir / f"{name}.jsonl")]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


@pytest.mark.rare
def test_a_search_that_is_killed_again_and_again_finds_the_same(config: Path, undisturbed: Path) -> None:
    run_dir, arguments = config.parent / "runs" / "killed", ["--config", str(config), "--name", "killed"]
    moments = (2, 6, 11)  # by reports of search and finals
    for most in moments:
        driver = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 200
        while sum(file.read_bytes().count(b"\n") for file in run_dir.glob("*s.jsonl")) < most:
            assert driver.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        arguments = ["resume", str(run_dir)]
    done = run("resume", str(run_dir))
    assert done.returncode == 0, done.stderr
    assert numbers(run_dir, "trials") == numbers(undisturbed, "trials")
    ours, theirs = (load_run(each) for each in (run_dir, undisturbed))
    same = [column for column in theirs.ranking if "seconds" not in column]
    assert ours.ranking[same].equals(theirs.ranking[same])


def test_it_has_promotion_effects_a_report_files_of_wandb_and_a_model_to_use(undisturbed: Path) -> None:
    found = load_run(undisturbed)
    assert found.trials["epochs"].max() == 4 and found.trials["epochs"].min() < 4
    best, *_ = found.ranking.to_dict("records")
    assert best["test_accuracy_low"] <= best["test_accuracy"] <= best["test_accuracy_high"] <= 100
    assert best["test_accuracy"] > 80 and best["network.width"] in (2, 4, 8, 16)
    page = found.report.read_text(encoding="utf-8")
    for told in ("Ranking by test accuracy", "What each setting did", "loss (nats)", "network.width"):
        assert told in page, told
    assert "BLEU" not in page.partition("<body>")[2].replace("sacreBLEU", "")
    assert len(list((undisturbed / "wandb").glob("offline-run-*"))) == 7 + 4, "trials and finals"
    tested = found.best.test()
    assert math.isclose(sum(tested) / len(tested), best["test_accuracy"], abs_tol=10), "the model of one of its seeds"
    with pytest.raises(UserError, match="is a search for two moons, which does not translate"):
        found.translate(["a"])


def test_the_code_of_somebody_elses_run_is_not_imported(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(undisturbed.parent / "state"))
    monkeypatch.delenv(KEPT, raising=False)
    with pytest.raises(UserError, match=r"its problem, 'examples.moons:MOONS', is code that would be imported"):
        load_run(undisturbed)
    assert load_run(undisturbed, trust=True).experiment.problem == NAMED
    refused = run("resume", str(undisturbed))
    assert refused.returncode == 2 and "add --trust" in refused.stderr


def trained(make: Any, folder: Path, epochs: int = 3, seed: int = 1) -> list[EpochReport | Diverged]:
    config = MoonsConfig.model_validate({"training": {"epochs": epochs}, "seed": seed})
    return [report for _, report in EpochTraining(make).train([config], folder, [folder / "trial"], 0, 2)]


def figures(reports: list[EpochReport | Diverged]) -> list[dict[str, float]]:
    return [report.figures for report in reports if isinstance(report, EpochReport)]


def test_an_epoch_follows_from_the_seed_and_its_number(tmp_path: Path) -> None:
    """However often training was interrupted before it."""
    whole = figures(trained(Classifier, tmp_path / "whole"))
    for epochs in (1, 2, 3):
        parts = figures(trained(Classifier, tmp_path / "parts", epochs))
    assert parts[-1] == whole[-1] != whole[0]
    assert figures(trained(Classifier, tmp_path / "other", seed=2))[-1] != whole[-1]


class Failing(Classifier):
    def train_epoch(self) -> dict[str, float]:
        return {"x": float("x")}


class Returning(Classifier):
    returned: Any = None

    def train_epoch(self) -> Any:
        return self.returned


class Hungry(Classifier):
    def train_epoch(self) -> dict[str, float]:
        raise MemoryError("no room")


@pytest.mark.parametrize(
    ("make", "returned", "error", "says"),
    [
        (
            Failing,
            None,
            UserError,
            r"ValueError: could not convert string to float: 'x' \(.*test_problems.py, line \d+",
        ),
        (Hungry, None, TooLarge, "memory is too small for it: no room"),
        (Returning, 3, UserError, "train_epoch returned int; return a dict of numbers by name"),
        (Returning, {"epoch": 3}, UserError, "a figure 'epoch', a name that reports need; choose another"),
        (Returning, {"loss": "low"}, UserError, "train_epoch returned 'low' as loss; return a number"),
    ],
)
def test_what_goes_wrong_in_the_users_code_is_a_sentence(
    make: type[Classifier], returned: Any, error: type[Exception], says: str, tmp_path: Path
) -> None:
    Returning.returned = returned
    with pytest.raises(error, match=says):
        trained(make, tmp_path)


def test_a_figure_that_is_not_finite_ends_a_trial_as_diverged(tmp_path: Path) -> None:
    Returning.returned = {"valid_accuracy": 50.0, "train_loss": math.nan}
    (report,) = trained(Returning, tmp_path)
    assert isinstance(report, Diverged) and str(report) == "train_loss became nan in epoch 1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"problem": "moons"}, "problem: moons: is neither translation nor pretrained nor command nor module:NAME"),
        ({"problem": "nowhere:MOONS"}, "problem: nowhere:MOONS can't be imported: ModuleNotFoundError"),
        ({"problem": "examples.moons:Classifier"}, "problem: examples.moons:Classifier is no Problem; see docs/prob"),
        ({"problem": NAMED, "training.report_steps": 5}, "training.report_steps: two moons reports by whole epochs"),
        ({"problem": NAMED, "search.gpus_per_trial": 2}, "search.gpus_per_trial: two moons trains a trial on one GPU"),
        ({"problem": NAMED, "search.max_parameters": 9}, "two moons does not say how large its models are"),
        ({"problem": NAMED, "search.metric": "valid_bleu"}, "search.metric: must be valid_accuracy or valid_loss"),
        ({"problem": NAMED, "space": {"seed": {"values": [1]}}}, "seed: decides what is compared"),
        ({"problem": NAMED, "finals.beam_size": 3}, "finals.beam_size: unknown key"),
        ({"problem": NAMED, "data.path": "x"}, "data: unknown key"),
    ],
)
def test_a_configuration_that_a_problem_does_not_take_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as told:
        Experiment.load(ROOT / "examples" / "moons.yaml", **changes)
    assert says in str(told.value)


def test_a_configuration_class_needs_what_every_trial_has() -> None:
    with pytest.raises(TypeError, match="Lacking: needs the fields seed, an int, and training, a TrainingConfig"):

        class Lacking(TrialConfig):
            training: TrainingConfig = TrainingConfig()


def test_the_help_has_the_keys_of_the_problem() -> None:
    told = subprocess.run(
        [*COMMAND, "--problem", NAMED, "--help", "all"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "--network.width" in told.stdout and "--model.d_model" not in told.stdout


def test_the_engine_knows_no_problem_but_by_its_value() -> None:
    """Nothing of the engine imports what is of translation alone."""
    units = ("engine", "schedulers", "samplers", "space", "record", "effects", "finals", "report", "tracking", "driver")
    program = f"import sys\n{''.join(f'import search.{unit}' + chr(10) for unit in units)}"
    modules = [
        f"search.{unit}.{file.stem}"
        for unit in units
        for file in (ROOT / "search" / unit).glob("*.py")
        if file.stem not in ("__init__", "sweep_program")
    ]
    program += "".join(f"import {module}\n" for module in modules) + "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = done.stdout.split()
    own = ("search.translation", "trainables.translation", "trainables.data.corpora.corpus", "model.transformer")
    assert [name for name in loaded if name.startswith(own)] == []


def test_parts_of_a_problem_may_be_named_and_are_imported_when_needed() -> None:
    problem = Problem("x", MoonsConfig, {"m": Metric("m")}, training="nowhere:T", finals="examples.moons:MOONS")
    assert problem.part("finals") is MOONS
    with pytest.raises(UserError, match="problem: nowhere:T can't be imported"):
        problem.part("training")
    assert find_problem("translation").part("finals").metrics(Experiment.load())[0].name == "test_bleu"


@pytest.mark.parametrize(("metric", "best"), [("valid_accuracy", 0), ("valid_loss", 1)])
def test_the_model_to_keep_is_the_best_by_the_metric_of_the_search(metric: str, best: int) -> None:
    """One has the higher accuracy, the other the lower loss."""
    search = Experiment.load(ROOT / "examples" / "moons.yaml", **{"search.metric": metric}).search
    models = []
    for accuracy, loss in ((90.0, 0.5), (80.0, 0.25)):
        report = EpochReport(
            1, 1, {"valid_accuracy": accuracy, "valid_loss": loss}, train_seconds=1.0, eval_seconds=0.0
        )
        models.append(FinalModel(NAMED, MoonsConfig.base(), 0, 0, 1.0, Path(), [JournalLine(0, report)]))
    assert choose_best(models, search) is models[best]


def test_the_score_of_items_is_their_mean() -> None:
    import numpy as np

    assert mean_of_sums(np.array([[6.0, 3.0], [5.0, 2.0]])).tolist() == [2.0, 2.5]
    assert "network.width" in flatten(MoonsConfig.base().model_dump())
