"""Nodes that can't run a search are told apart before it starts, and slots are counted over those that can."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from search.cluster.joining import joined_ray
from search.cluster.node_check import NodeFacts, SharedToken, find_faults, inspect_node, list_sizes
from search.cluster.slots import Slots, count_slots
from search.cluster.teardown import check_teardown
from search.settings.experiment import Experiment
from trainables.base.errors import UserError
from trainables.base.locks import join_driver
from trainables.training.gpu import Need


def look(folder: Path, sizes: dict[str, int] | None = None) -> NodeFacts:
    with SharedToken(folder) as token:
        return token.as_answered(inspect_node(str(token.file), token.answer(0), sizes or {}), 0)


def test_a_node_that_shares_everything_has_no_fault_and_nothing_stays_behind(tmp_path: Path) -> None:
    corpus = tmp_path / "train.en"
    corpus.write_text("one\n")
    facts = look(tmp_path, list_sizes([corpus]))
    assert facts.locked and facts.writable and facts.token
    assert find_faults(facts, facts, gpus=0) == ([], [])
    assert [path.name for path in tmp_path.iterdir()] == ["train.en"]


def changed(**fields: Any) -> Callable[[NodeFacts], NodeFacts]:
    return lambda facts: replace(facts, **fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: replace(facts, versions={**facts.versions, "torch": "1.0"}), "torch 1.0, but "),
        (lambda facts: replace(facts, versions={**facts.versions, "ray": None}), "ray is not installed; install ray=="),
        (lambda facts: replace(facts, versions={**facts.versions, "sacrebleu": None}), "sacrebleu not installed"),
        (lambda facts: replace(facts, free_gib={"/tmp": 0.5}), "0.5 GiB free in /tmp, 2 needed"),
        (changed(open_files=1024), "only 1024 open files allowed, 4096 needed; put `ulimit -n 65536`"),
        (changed(token=None), "is missing there; mount the shared folder"),
        (changed(token="another"), "is another folder there"),
        (changed(writable=False), "can't be written"),
        (changed(locked=False), "so two drivers could write one search"),
        (changed(lacking=("/corpus/train.en", "/corpus/train.fr")), "/corpus/train.en and 1 more can't be read there"),
    ],
)
def test_each_fault_is_told_with_what_to_do(
    change: Callable[[NodeFacts], NodeFacts], message: str, tmp_path: Path
) -> None:
    facts = look(tmp_path)
    faults, _ = find_faults(change(facts), facts, gpus=0)
    assert len(faults) == 1 and message in faults[0]


def test_a_folder_without_the_token_a_lost_answer_and_a_wrong_corpus_are_seen(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    corpus = here / "train.en"
    corpus.write_text("one\n")
    with SharedToken(here) as token:
        elsewhere = inspect_node(str(there / token.file.name), token.answer(0), {str(corpus): 99})
        assert elsewhere.token is None and elsewhere.writable and elsewhere.lacking == (str(corpus),)
        assert not token.as_answered(elsewhere, 0).writable, "the answer went into another folder"


def test_pretended_gpus_are_noted(tmp_path: Path) -> None:
    facts = replace(look(tmp_path), gpus=None)
    assert "models would train on its CPU" in find_faults(facts, facts, gpus=1)[1][0]


@pytest.mark.parametrize(
    ("settings", "nodes", "slots"),
    [
        ({}, [{"CPU": 8.0}, {"CPU": 4.0}], Slots(12, 0.0)),
        ({}, [{"memory": 1.0}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0, "GPU": 1.0}], Slots(12, 0.25)),
        ({}, [{"CPU": 1.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 1.0}], Slots(2, 1.0)),
        ({"gpus_per_trial": 0.5}, [{"CPU": 3.0, "GPU": 2.0}], Slots(3, 0.5)),
        ({"gpus_per_trial": 0.4}, [{"CPU": 30.0, "GPU": 8.0}], Slots(16, 0.4)),
        ({"gpus_per_trial": 2}, [{"CPU": 8.0, "GPU": 3.0}, {"CPU": 8.0, "GPU": 3.0}], Slots(2, 2.0)),
        ({"concurrency": 5}, [{"CPU": 8.0, "GPU": 2.0}], Slots(5, 0.25)),
        ({"concurrency": 4, "gpus_per_trial": 1}, [{"memory": 1.0}], Slots(4, 1.0)),
    ],
)
def test_slots_are_counted_node_by_node(settings: dict[str, Any], nodes: list[dict[str, float]], slots: Slots) -> None:
    assert (
        count_slots(
            Experiment.model_validate({"search": settings}).search, nodes, lambda: [Need(20, 100), Need(20, 150)]
        )
        == slots
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "search.gpus_per_trial: auto, but no worker"), ({"gpus_per_trial": 1}, "search.concurrency: auto, but no")],
)
def test_without_workers_their_number_has_to_be_said(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        count_slots(Experiment.model_validate({"search": settings}).search, [{"memory": 1.0}], lambda: [])


def test_a_cluster_that_is_not_there_is_told_in_one_message() -> None:
    with pytest.raises(UserError, match=r"cluster: 127.0.0.1:9 can't be joined: .*; start the search on the head node"):
        joined_ray("127.0.0.1:9").__enter__()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("output_dir", "s3://bucket/runs", "is not a folder of this machine; name the address as storage"),
        ("storage", "/mnt/runs", "is not an address such as s3://bucket/runs"),
        ("cluster", "ray://head:10001", "is neither auto nor HOST:PORT"),
        ("teardown", True, "there is no cluster to end"),
        ("name", "../elsewhere", "use letters, digits"),
        ("name", ".hidden", "use letters, digits"),
    ],
)
def test_what_would_leave_the_shared_folder_is_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Experiment.model_validate({key: value})


def test_a_cluster_that_can_not_be_ended_from_here_is_told_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    check_teardown(Experiment.model_validate({"cluster": "auto"}))
    experiment = Experiment.model_validate({"cluster": "auto", "teardown": True})
    with pytest.raises(UserError, match=r"teardown: ~/ray_bootstrap_config.yaml is missing"):
        check_teardown(experiment)
    (tmp_path / "ray_bootstrap_config.yaml").touch()
    check_teardown(experiment)


def test_a_worker_that_does_not_see_the_run_does_not_make_a_lock_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    with pytest.raises(FileNotFoundError):
        join_driver(tmp_path / "locks" / "1")
    assert not list((tmp_path / "locks").iterdir())
