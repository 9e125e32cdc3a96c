"""What the search cost, and which translations are shown, from the study and the journal."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from boards import TEST_BLEU
from reports import line_of
from test_leaderboard import entry

from search.driver.concluding import Results, search_cost
from search.finals.board import Cost
from search.record.attributes import Attributes
from search.record.study import Study
from search.settings.experiment import Experiment
from search.translation.sentences import SAMPLES, choose_samples, measure, score_by_length, worst_samples
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
    study.set_wall_seconds(75.5, 1.5)
    seconds = {"train_seconds": 10.0, "eval_seconds": 2.0}
    lines = [
        line_of(0, 6, **seconds),
        line_of(1, 2, **seconds, devices=0.25),
        line_of(2, 6, **seconds, devices=2.0),
    ]
    assert search_cost(experiment, Results(study, lines, [], [])) == Cost(
        trials=3,
        epochs_trained=6 + 2 + 2,
        epochs_full=6 + 6 + 2,
        gpu_seconds=12 + 3 + 24,
        wall_seconds=75.5,
        idle_seconds=1.5,
    )


@pytest.mark.parametrize(("size", "worst"), [(8, [5, 0, 1, 2, 3, 4]), (500, [5, 0, 1, 2, 3, 4])])
def test_samples_are_drawn_at_random_with_each_systems_first_seed(size: int, worst: list[int]) -> None:
    sides = [[f"{name} {row}" for row in range(size)] for name in ("source", "reference")]
    entries = []
    for one in (entry(7, (0, 1), 100), entry(3, (2, 2), 100)):
        results = [
            replace(result, translations=[f"{one.finalist.trial}-{result.seed}-{row}" for row in range(size)])
            for result in one.results
        ]
        entries.append(replace(one, results=results))
    found = choose_samples(Split(*sides), entries)
    rows = [sample.number - 1 for sample in found]
    assert len(set(rows)) == min(size, SAMPLES) and rows == sorted(rows)
    assert found == choose_samples(Split(*sides), entries), "the same every time"
    assert size == 8 or (min(rows) < 150 and max(rows) > 350 and len({b - a for a, b in pairwise(rows)}) > 5)
    scores = np.full(size, 30.0)
    scores[5] = 1.5
    poor = worst_samples(Split(*sides), entries, scores)
    assert [sample.number - 1 for sample in poor] == worst and poor[0].score == 1.5
    assert worst_samples(Split(*sides), entries, scores[:1]) == [], "a metric of the whole text"
    for sample, row in zip([*found, *poor], [*rows, *worst], strict=True):
        assert (sample.source, sample.reference) == (f"source {row}", f"reference {row}")
        assert list(sample.translations.items()) == [("trial 7", f"7-2-{row}"), ("trial 3", f"3-2-{row}")]


def test_scores_by_length_are_of_the_sentences_of_each_quarter() -> None:
    """Forty sentences of 1 to 40 words; the first system scores its length, the second 7 with either seed."""
    unit, lengths = measure([" ".join(["word"] * number) for number in range(1, 41)])
    assert unit == "words" and lengths.tolist() == list(range(1, 41))
    counts = np.ones(40)
    first = [np.column_stack([lengths, counts])]
    second = [np.column_stack([np.full(40, each), counts]) for each in (6.0, 8.0)]
    by = replace(TEST_BLEU, of_sums=lambda sums: sums[..., 0] / sums[..., 1])
    found = score_by_length(lengths, [first, second], by)
    assert [each.lengths for each in found] == ["1–10", "11–20", "21–30", "31–40"]
    assert {each.sentences for each in found} == {10}
    assert [each.scores for each in found] == [[5.5, 7.0], [15.5, 7.0], [25.5, 7.0], [35.5, 7.0]]
    assert score_by_length(lengths[:39], [[first[0][:39]]], by) == [], "too few"
    assert [each.lengths for each in score_by_length(np.full(40, 3), [first], by)] == ["3"]
    unit, characters = measure(["你好", "好"])
    assert unit == "characters" and characters.tolist() == [2, 1]
