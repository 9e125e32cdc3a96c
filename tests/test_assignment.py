"""What the driver and a worker say to each other arrives as it was said, by way of plain values."""

import json
from pathlib import Path

import pytest
from reports import make_report
from test_work import experiment

from trainables.assignment import (
    Answer,
    Assignment,
    Ended,
    Halted,
    Reported,
    WorkerSetup,
    numbers,
    read_assignment,
    read_result,
    read_setup,
    to_result,
    to_tune,
)
from trainables.base.outcomes import DIED
from trainables.base.translation_config import TranslationConfig

SETUP = WorkerSetup(Path("cache"), Path("locks/1"), 0.5, 2, None, {"python": "3.11", "ray": None}, "m:P", Path("home"))


def test_an_assignment_arrives_with_its_group_as_plain_values() -> None:
    trial = experiment().trial
    others = tuple(Assignment(number, trial.with_values({"seed": number}), Path("f", "x"), 1) for number in (4, 5))
    assignment = Assignment(3, trial, Path("run/trials/3"), 2, others)
    given = json.loads(json.dumps(to_tune(assignment, SETUP)))
    assert read_assignment(given, TranslationConfig) == assignment and read_setup(given) == SETUP
    assert numbers(given) == [3, 4, 5] and assignment.key == "trials/3"


ANSWERS: list[Answer] = [
    Reported(3, make_report(2, 21.5, devices=0.5, gpu_utilization=98.0)),
    *(Ended(3, outcome, "why") for outcome in DIED),
    Halted("the disk is full"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: str(answer)[:20])
def test_an_answer_arrives_among_what_tune_adds(answer: Answer) -> None:
    result = json.loads(json.dumps(to_result(answer)))
    assert read_result({**result, "done": False, "trial_id": "a"}) == answer
