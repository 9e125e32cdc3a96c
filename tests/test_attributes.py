"""What the study says of a trial beside its scores: the same when it is read again, and nothing is lost."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from test_work import experiment

from search.record.attributes import Attributes, read_attributes
from search.record.study import Study
from search.run_directory.checking import check_study
from trainables.base.outcomes import Outcome
from trainables.base.sealing import Damaged

COUNTS = st.integers(0, 99)
ATTRIBUTES = st.builds(
    Attributes,
    outcome=st.sampled_from([None, *Outcome]),
    message=st.text(),
    crashes=COUNTS,
    machines_lost=COUNTS,
    epoch_steps=st.none() | COUNTS,
    after=st.none() | COUNTS,
    clock=st.none() | st.floats(allow_nan=False),
    passed=st.frozensets(COUNTS),
    memory=st.dictionaries(st.text(), COUNTS),
    parent=st.none() | COUNTS,
    replaces=st.none() | COUNTS,
    inherited=COUNTS,
    taken_from=st.none() | st.text(),
    seal=st.none() | st.text(),
    others=st.dictionaries(st.sampled_from(["epoch-x", "colour"]), st.text()),
)


@given(ATTRIBUTES)
def test_attributes_are_read_as_they_were_written(attributes: Attributes) -> None:
    assert read_attributes(attributes.stored()) == attributes


def test_attributes_stand_in_the_file_as_in_version_0_1() -> None:
    attributes = Attributes(Outcome.STOPPED, crashes=2, after=0, clock=0.0, passed=frozenset({10, 5}))
    expected = {"outcome": "stopped", "crashes": 2, "after": 0, "clock": 0.0, "epoch-5": "passed", "epoch-10": "passed"}
    assert attributes.stored() == expected and Attributes().stored() == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("colour", "red", "trial 0 has an attribute 'colour' with the value 'red', which no driver writes"),
        ("crashes", "two", "trial 0 has an attribute 'crashes' with the value 'two', which no driver writes"),
        ("epoch-1", "failed", "trial 0 has an attribute 'epoch-1' with the value 'failed', which no driver writes"),
        ("epoch-2", "passed", "trial 0 is said to have passed 2, where it has no score"),
    ],
)
def test_what_no_driver_writes_is_kept_and_refused(key: str, value: Any, message: str, tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", "search", "maximize")
    study.writer.set_attribute(study.add({}, {}), key, value)
    study.close()
    again = Study(tmp_path / "study.db", "search", "maximize")
    assert again.trials[0].attributes.stored()[key] == value
    with pytest.raises(Damaged, match=message):
        check_study(again, tmp_path / "trials.jsonl", experiment())
