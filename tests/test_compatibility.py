"""What version 0.1 has left can be used; keys that were renamed work by their old names, with a warning."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from test_run import run, run_here

from search.schedulers.promotion import PromotionSettings
from search.settings.experiment import Experiment, experiment_class
from search.settings.problem import TRANSLATION
from search.settings.stored import stored_experiment
from trainables.base import renaming
from trainables.base.command_line import parse_config
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.mistakes import validate
from trainables.base.translation_config import as_translation
from trainables.base.yaml_files import read_stored, read_yaml

OLD = Path(__file__).parent / "runs" / "0.1"  # written by version 0.1: three trials and one final on the phrasebook


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


def test_a_run_of_an_earlier_version_translates_and_replays(old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run("translate", str(old_run), stdin="the man reads a book\n\nthe house is old\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert len(lines) == 4 and lines[0] and not lines[1] and lines[2]
    done = run_here(capsys, "replay", "--tables", str(old_run), "--seeds", "2")
    assert done.returncode == 0 and "old" in done.stdout, done.stderr


def test_a_run_of_an_earlier_version_is_resumed_to_the_same_ranking(
    old_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((old_run / "leaderboard.json").read_text())
    done = run_here(capsys, "resume", str(old_run), "--tracking.wandb", "disabled")
    assert done.returncode == 0, done.stderr
    after = json.loads((old_run / "leaderboard.json").read_text())
    same = ("rank", "trial", "config", "final_trials", "test_bleu", "valid_bleu")
    for line, old in zip(after["ranking"], before["ranking"], strict=True):
        assert {key: line[key] for key in same} == {key: old[key] for key in same}
        assert line["test_bleu_ci"] == pytest.approx(old["test_bleu_ci"], rel=0.02), "NumPy's samples differ by version"
    assert (old_run / "report.html").is_file() and not (old_run / "earlier").exists()


@pytest.mark.parametrize("scheduler", ["asha_promotion", {"kind": "asha_promotion", "rungs": None}])
def test_a_run_from_before_the_models_chance_goes_on_by_rank_alone(scheduler: object, old_run: Path) -> None:
    file = old_run / "experiment.yaml"
    tree = {**read_yaml(file), "search": {"metric": "valid_bleu", "scheduler": scheduler}}
    file.write_text(yaml.safe_dump(tree))
    found = stored_experiment(old_run).search.scheduler
    assert isinstance(found, PromotionSettings) and found.chance is None
    assert PromotionSettings().chance == 0.2


def test_a_run_of_an_earlier_version_goes_on_with_the_scores_that_it_began_with(old_run: Path) -> None:
    stored = stored_experiment(old_run)
    trial = as_translation(stored.trial)
    assert trial.data.bleu_tokenize == "13a", "whatever its language"
    assert trial.tokenizer.normalization == "nmt_nfkc"
    assert trial.training.scored_pairs is None, "all validation pairs"


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renaming, "RENAMED", {"training.rate": ("training.learning_rate", "0.9")})


def test_a_renamed_key_works_by_its_old_name_and_says_so(
    renamed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.yaml"
    file.write_text("training: {rate: 0.25, epochs: 2}\nspace: {training.rate: {values: [0.1, 0.2]}}\n")
    experiment = validate(Experiment, read_yaml(file), str(file))
    assert as_translation(experiment.trial).training.learning_rate == 0.25 and experiment.training.epochs == 2
    assert list(experiment.space.domains) == ["training.learning_rate"]
    said = capsys.readouterr().err
    assert f"{file}: training.rate is called training.learning_rate now; the old name works until 0.9" in said
    for option in (["--training.rate", "0.5"], ["--training.rate=0.5"]):
        changed, _ = parse_config(experiment_class(TRANSLATION), option, Program("program", ""), file)
        assert as_translation(changed.trial).training.learning_rate == 0.5
        assert "--training.rate: is called training.learning_rate now" in capsys.readouterr().err


def test_both_names_of_a_key_at_once_are_refused(renamed: None, tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text("training: {rate: 0.1, learning_rate: 0.2}\n")
    with pytest.raises(
        UserError, match=r"both.yaml: training.rate: is the old name of training.learning_rate, which is"
    ):
        read_yaml(file)


def test_a_range_of_whole_numbers_stays_one(old_run: Path) -> None:
    tree = read_stored(old_run / "experiment.yaml")
    tree["space"] = {"training.clip_norm": {"min": 1.0, "max": 5.0, "distribution": None}}  # as 0.1 wrote 1 and 5
    (old_run / "experiment.yaml").write_text(yaml.safe_dump(tree))
    assert type(stored_experiment(old_run).space.domains["training.clip_norm"].at(0.3)) is int
