"""Parts of the report: its head, the ranking to copy, methods, and the figures of time."""

import csv
import io
from dataclasses import replace
from typing import Any

import pytest
from as_plotly import as_plotly
from boards import TEST_BLEU, board, entry
from plotly.offline import get_plotlyjs
from reports import line_of

from search.record.journal import JournalLine
from search.report import library
from search.report.copying import ranking_forms
from search.report.figures.figure import COLOURS, GREY
from search.report.figures.timeline import timeline
from search.report.methods import describe_methods, references
from search.report.summary import summarise
from search.settings.experiment import Experiment

START = {
    "at": "2026-01-02T04:04:05+0100",
    "torch": "2.13.0",
    "python": "3.11.7",
    "device": "NVIDIA H200",
    "processor": "EPYC, 16 cores",
    "system": "Linux x86_64",
}
PATHS = ["model.d_model", "model.positions"]


def at(trial: int, epoch: int, minute: float, seconds: float = 60.0, **values: Any) -> JournalLine:
    """A report that came so many minutes after three, and took so many seconds."""
    whole, rest = divmod(round(60 * minute), 60)
    time = f"2026-01-02T03:{whole:02}:{rest:02}+00:00"
    return replace(line_of(trial, epoch, train_seconds=seconds, **values), time=time)


def test_the_head_says_when_on_what_and_at_what_cost() -> None:
    experiment = Experiment.model_validate({"search": {"budget": {"price_per_gpu_hour": 3.0}}})
    reports, finals = [at(0, 1, 10, 1800)], [at(0, 1, 50, 1800)]
    found = summarise(
        experiment, [START, {**START, "device": "NVIDIA B200"}], reports, finals, board(entry(1, 0, 9, 1, {}))
    )
    assert found == {
        "date": "2 January 2026, 03:04 to 03:50 UTC, in 2 starts",
        "duration": "67 min by the clock for the search",
        "cost": "60 min on devices, search and finals, $3.00 at $3 an hour",
        "hardware": "NVIDIA B200; EPYC, 16 cores; Linux x86_64",
        "versions": "python 3.11.7, torch 2.13.0",
    }
    late = [replace(reports[0], time="2026-01-03T00:10:00+00:00")]
    days = summarise(experiment, [START], late, [], None)["date"]
    assert days == "2 January 2026, 03:04 UTC to 3 January 2026, 00:10 UTC"
    assert summarise(experiment, [], [], [], None) == {}, "of a search that has just begun"


def test_the_ranking_is_there_to_copy() -> None:
    first = entry(1, 4, 30.0, 1, {"model.d_model": 128, "model.positions": "a_b|c"})
    ranked = board(first, replace(entry(2, 0, 29.0, 1, {"model.d_model": 64}), num_parameters=500))
    forms = ranking_forms(ranked, TEST_BLEU, PATHS)
    head, *rows = csv.reader(io.StringIO(forms["CSV"]))
    assert head == ["rank", "group", "trial", "BLEU", "95% interval", "seeds", "parameters", "d_model", "positions"]
    assert rows == [
        ["1", "1", "4", "30.00", "28.5–31.4", "2", "1000000", "128", "a_b|c"],
        ["2", "1", "0", "29.00", "27.5–30.4", "2", "500", "64", "–"],
    ]
    assert forms["Markdown"].splitlines()[1:3] == [
        "|" + "---:|" * 9,
        r"| 1 | 1 | 4 | 30.00 | 28.5–31.4 | 2 | 1000000 | 128 | a_b\|c |",
    ]
    latex = forms["LaTeX"].splitlines()
    assert latex[:2] == [r"\begin{tabular}{rrrrrrrrr}", r"\toprule"] and latex[-1] == r"\end{tabular}"
    assert (
        r"95\% interval" in latex[2] and latex[4] == r"1 & 1 & 4 & 30.00 & 28.5--31.4 & 2 & 1000000 & 128 & a\_b|c \\"
    )


def test_the_methods_are_those_of_the_search() -> None:
    space = {"model.d_model": {"values": [64, 128]}}
    tree = {
        "training": {"epochs": 4},
        "space": space,
        "search": {"sampler": "tpe", "scheduler": {"kind": "asha", "rungs": [1, 2]}},
    }
    experiment = Experiment.model_validate(tree)
    told = describe_methods(experiment, board(entry(1, 4, 30.0, 1, {})), TEST_BLEU, [])
    for words in (
        "We searched over 1 hyperparameter",
        "sampler tpe",
        "(asha, epochs 1, 2)",
        "10 epochs and 3 min of device time",
        "The 1 finalist was fixed before the test data were read, and retrained with 2 seeds each",
        "test BLEU as means over seeds, with 95% bootstrap intervals over sentences and seeds (1000 samples)",
        "bleu: nrefs:1|version:2",
    ):
        assert words in told
    assert any("ASHA" in each for each in references(experiment, TEST_BLEU))
    plain = Experiment.model_validate({"search": {"scheduler": "none"}})
    assert not any("ASHA" in each for each in references(plain, TEST_BLEU))


def test_the_methods_of_a_race_say_how_seeds_were_added() -> None:
    experiment = Experiment.model_validate({"finals": {"most_seeds": 6}})
    raced = board(entry(1, 4, 30.0, 1, {}, seeds=5), entry(2, 3, 29.0, 1, {}), entry(3, 1, 28.0, 1, {}, seeds=3))
    told = describe_methods(experiment, raced, TEST_BLEU, [])
    assert "retrained with 2 to 5 seeds, added where they would most likely decide" in told
    assert "with Holm's correction and, as seeds were added after looks at the scores, alpha spending." in told
    assert any("Lan and DeMets (1983)" in reference for reference in references(experiment, TEST_BLEU))
    plain = Experiment.model_validate({})
    assert "spending" not in describe_methods(plain, raced, TEST_BLEU, [])
    assert not any("Lan" in reference for reference in references(plain, TEST_BLEU))


def test_each_slot_has_its_trials_and_no_two_at_a_time() -> None:
    """Trials 0 and 1 side by side; then 0 goes on where it was, 2 comes where 1 was a little sooner; 7 is a 1 again."""
    reports = [at(0, 1, 1, 45, eval_seconds=15.0), at(1, 1, 5 / 6, 50), at(0, 2, 2), at(2, 1, 2)]
    finals = [at(7, 1, 4, gpu_utilization=50.0)]
    ranking = [replace(entry(1, 1, 30.0, 1, {}), final_trials=[7])]
    slots, gpus = timeline(reports, finals, ranking)
    traces = {trace.name: trace for trace in as_plotly(slots).data}
    assert {name: trace.line.color for name, trace in traces.items()} == {"other trials": GREY, "trial 1": COLOURS[0]}
    bars = {
        (text.split(",")[0], round(60 * begin)): slot
        for trace in traces.values()
        for text, begin, slot in zip(trace.text[::3], trace.x[::3], trace.y[::3], strict=True)
    }
    assert bars[("trial 0", 0)] == bars[("trial 0", 60)] != bars[("trial 1", 0)] == bars[("trial 2", 60)]
    assert ("final 7", 180) in bars and as_plotly(slots).layout.xaxis.title.text.startswith("minutes since")
    assert slots.alternative == "Up to 2 trials at a time, 1.2 on average"
    assert gpus.alternative == "On average 50% of the time in which trials trained"
    (line,) = as_plotly(gpus).data
    assert set(line.y) == {50.0}


def test_reports_of_an_old_version_have_no_time_to_draw() -> None:
    assert timeline([line_of(0)], [], []) == []


@pytest.mark.parametrize("fetched", [True, False])
def test_the_whole_library_stands_in_for_the_part(
    fetched: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(library, "BUNDLE", tmp_path / "part.js")
    if fetched:
        (tmp_path / "part.js").write_text("part")
    assert library.plotly_js() == ("part" if fetched else get_plotlyjs())
