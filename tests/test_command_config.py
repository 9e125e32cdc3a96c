"""The description of a trainer: what can't be right is refused, and known trainers are completed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import search_tree
from rich.console import Console

from search import Experiment, UserError
from search.command.finals import FINALS
from search.command.preparation import PREPARATION
from search.run_directory.changes import Change, find_change
from trainables.command.presets import COMMANDS


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"space": {"trainer.model.rat": {"values": [1.0]}}},
            "trainer.model.rat: names no field of a trial; did you mean",
        ),
        ({"space": {"trainer.model.rate": {"values": ["a"]}}}, "'a' can't be its value: it must be a number, like 0.1"),
        ({"space": {"command.round": {"values": [1, 2]}}}, "command.round: decides what is compared"),
        ({"search__metric": "valid_chrf"}, "search.metric: must be valid_bleu"),
        ({"command__train": "python {cofig}"}, "command.train: {cofig} has no value here; did you mean config?"),
        ({"command__train": "python {trainer.model.rat}"}, "{trainer.model.rat} is not in the trainer's configuration"),
        ({"command__set": {"model.rate.x": 1}}, "command.set: model.rate.x: model.rate is not a section"),
        ({"command__checkpoint": ["model.npz"]}, "without {step}, the next checkpoint overwrites it"),
        ({"command__checkpoint": ["/tmp/{step}"]}, "checkpoint: /tmp/{step}: is a path in {folder}"),
        ({"command__reports__patterns": ["("]}, "is not a regular expression"),
        ({"command__reports__patterns": ["(?P<step>.)"]}, "no pattern of reports has the group (?P<valid_bleu>"),
        ({"command__metrics": {"epoch": "maximize"}}, "'epoch': can't be the name of a metric"),
        ({"command__kind": "joey"}, "command: unknown kind 'joey'; did you mean joeynmt?"),
        ({"trainer": "nowhere.yaml"}, "nowhere.yaml: No such file or directory"),
        ({"trainer": "train.toml"}, "train.toml: is read as YAML or JSON"),
        ({"training__report_steps": 5}, "training.report_steps: translation by a command reports by whole epochs"),
    ],
)
def test_a_description_that_can_not_be_right_is_refused(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(search_tree(tmp_path, **changes)))
    with pytest.raises(UserError) as told:
        Experiment.load(file)
    assert says in str(told.value)


def test_the_trainers_file_is_read_once_and_a_preset_is_completed(tmp_path: Path) -> None:
    (tmp_path / "joey.yaml").write_text("model: {width: 64}\ntraining: {learning_rate: 0.0002}\n")
    given = {
        "problem": "command",
        "command": {"kind": "joeynmt", "set": {"data.train": "{data}/train"}, "reports": {"step": "x"}},
        "trainer": str(tmp_path / "joey.yaml"),
        "space": {"trainer.training.learning_rate": {"min": 1e-4, "max": 1e-3}},
    }
    made = Experiment.model_validate(given)
    (tmp_path / "joey.yaml").unlink()
    again = Experiment.model_validate(made.model_dump(mode="json"))
    assert again == made
    command = made.model_dump()["command"]
    assert command["set"]["data.train"] == "{data}/train" and command["set"]["training.updates"] == "{total}"
    assert command["reports"]["file"] == "model/validations.txt" and made.search.metric == "valid_bleu"
    assert find_change(made, made.with_values({"trainer.model.width": 32})) is Change.NEW_STUDY
    assert find_change(made, made.with_values({"command.timeout_seconds": 9.0})) is Change.NOTHING
    with pytest.raises(UserError, match=r"command\.round decides what is compared"):
        find_change(made, made.with_values({"command.round": 9}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"command__set": {"data": "x"}, "data": {}}, "the command does not train on the embedded corpus"),
        ({"command__python": "no-such-python"}, "command.train: the program no-such-python is not found here"),
        ({"finals__rank_by": "blue"}, "finals.rank_by: 'blue' is not a metric; did you mean bleu?"),
    ],
)
def test_what_can_not_work_is_said_before_anything_is_trained(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    experiment = Experiment.model_validate(search_tree(tmp_path, **changes))
    with pytest.raises(UserError) as told:
        PREPARATION.prepare(experiment, Console(quiet=True))
        FINALS.check(experiment)
    assert says in str(told.value)


def test_the_nodes_must_share_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="storage: a command writes"):
        PREPARATION.share(Experiment.model_validate(search_tree(tmp_path, storage="s3://bucket/runs")))


@pytest.mark.parametrize(
    ("kind", "instead"),
    [("own", None), ("joeynmt", "valid_ppl"), ("huggingface", "valid_loss"), ("marian", None)],
)
def test_each_known_trainer_is_complete(kind: str, instead: str | None) -> None:
    """Where BLEU says nothing, the first figure of which less is better decides."""
    experiment = Experiment.model_validate({"problem": "command", "command": kind})
    assert experiment.search.metric == "valid_bleu" and experiment.search.compared_by.instead == instead
    by = FINALS.metrics(experiment)[0]
    assert (by.name, by.metric.instead) == ("test_bleu", instead) and kind in COMMANDS
