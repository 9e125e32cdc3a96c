"""What the search cost, and which translations are shown, from the study and the journal."""

from dataclasses import replace

import pytest
from reports import line_of
from test_leaderboard import entry

from search.driver.concluding import _cost
from search.finals.board import Cost
from search.record.attributes import Attributes
from search.record.study import Study
from search.settings.experiment import Experiment
from search.translation.sections import SAMPLES, choose_samples
from trainables.base.outcomes import Outcome
from trainables.data.reading.text import Split


def test_the_cost_is_what_trials_trained_themselves() -> None:
    """It counts a trial that ended, one that was stopped, and one that went on from an epoch of the first."""
    experiment = Experiment.model_validate({"training": {"epochs": 6}})
    study = Study(None, "search", "maximize")
    for epochs, inherited in ((6, 0), (2, 0), (6, 4)):
        scores = dict.fromkeys(range(1, inherited + 1), 1.0)
        attributes = Attributes(parent=0, inherited=inherited) if inherited else None
        trial = study.add({}, {}, scores=scores, attributes=attributes)
        for epoch in range(inherited + 1, epochs + 1):
            study.report(trial, epoch, 1.0)
        study.finish(trial, Outcome.COMPLETED if epochs == 6 else Outcome.STOPPED)
    study.set_wall_seconds(75.5)
    seconds = {"train_seconds": 10.0, "eval_seconds": 2.0}
    lines = [
        line_of(0, 6, **seconds),
        line_of(1, 2, **seconds, devices=0.25),
        line_of(2, 6, **seconds, devices=2.0),
    ]
    assert _cost(experiment, study, lines) == Cost(
        trials=3,
        epochs_trained=6 + 2 + 2,
        epochs_full=6 + 6 + 2,
        gpu_seconds=12 + 3 + 24,
        wall_seconds=75.5,
    )


@pytest.mark.parametrize(
    ("size", "rows"), [(8, list(range(8))), (30, list(range(0, 24, 2))), (500, list(range(0, 492, 41)))]
)
def test_samples_are_from_all_over_the_test_split_with_each_systems_first_seed(size: int, rows: list[int]) -> None:
    sides = [[f"{name} {row}" for row in range(size)] for name in ("source", "reference")]
    entries = []
    for one in (entry(7, (0, 1), 100), entry(3, (2, 2), 100)):
        results = [
            replace(result, translations=[f"{one.finalist.trial}-{result.seed}-{row}" for row in range(size)])
            for result in one.results
        ]
        entries.append(replace(one, results=results))
    found = choose_samples(Split(*sides), entries)
    assert len(found) == min(size, SAMPLES)
    for sample, row in zip(found, rows, strict=True):
        assert (sample.source, sample.reference) == (f"source {row}", f"reference {row}")
        assert list(sample.translations.items()) == [("trial 7", f"7-2-{row}"), ("trial 3", f"3-2-{row}")]
