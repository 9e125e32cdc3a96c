"""A report in Chromium: whole on paper, readable in the dark, its table sorted and filtered, drawn where one looks."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from boards import board, entry
from chromium import DESK, PHONE, cut_on_paper, needs_chromium, shown_at, value_of
from test_report import PARAMS, SCORES, lines, make_experiment, make_trials, render

from search.report.page import Findings, write_report
from search.report.summary import Progress


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_chromium()
    folder = tmp_path_factory.mktemp("report")
    ranked = board(entry(1, 2, 26.0, 1, PARAMS), entry(2, 0, 22.5, 2, PARAMS))
    how = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"  # without a space to break it at
    render(folder, make_experiment(), replace(ranked, signatures={"bleu": how}), SCORES)
    return folder / "report.html"


def test_every_figure_is_whole_on_paper(page: Path) -> None:
    """And a picture that kept the width of a screen would be seen to be cut."""
    wide = 'document.querySelector("#learning-curves .main-svg").style.setProperty("width", "1200px", "important")'
    assert cut_on_paper(page, wide) == [[], [], ["learning-curves"]]


def test_nothing_runs_over_and_nothing_fails(page: Path) -> None:
    for width, shown in shown_at(page, (DESK, PHONE)).items():
        assert (shown["errors"], shown["overflow"]) == ([], 0), width
        assert all(picture["marks"] and picture["height"] > 100 for picture in shown["pictures"])


def test_figures_out_of_sight_are_drawn_when_they_come_into_it(page: Path) -> None:
    drawn = 'document.querySelector("#length-figure svg") !== null'
    down = 'document.querySelector("#length-figure").scrollIntoView(); new Promise((done) => setTimeout(done, 700))'
    assert value_of(page, drawn, down, drawn)[::2] == [False, True]


def test_a_page_is_light_or_dark_with_its_figures(page: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = 'document.querySelector("#ranking-figure text").style.fill'
    click = 'document.querySelector(".theme").click(); new Promise((done) => setTimeout(done, 300))'
    light, dark = ["rgb(255, 255, 255)", "rgb(31, 41, 51)"], ["rgb(21, 25, 30)", "rgb(227, 231, 236)"]
    found = value_of(page, paper, ink, click, paper, ink, click, paper, ink)
    assert (found[:2], found[3:5], found[6:]) == (light, dark, light)


def test_trials_are_sorted_and_filtered(page: Path) -> None:
    shown = '[...document.querySelectorAll(".sortable tbody tr")].filter((row) => !row.hidden)'
    rows = f"{shown}.map((row) => row.cells[0].textContent)"
    click = 'document.querySelectorAll(".sortable thead button")[3].click()'
    word = (
        'const box = document.querySelector(".filter"); box.value = "Diverged"; box.dispatchEvent(new Event("input"))'
    )
    found = value_of(page, rows, click, rows, click, rows, word, rows)
    assert found[::2] == [["0", "1", "2", "3"], ["3", "1", "0", "2"], ["2", "0", "1", "3"], ["3"]]


def test_the_page_of_a_search_that_runs_loads_itself_again_but_not_under_a_reader(tmp_path: Path) -> None:
    """What a reader has unfolded stays so."""
    needs_chromium()
    experiment, file = make_experiment(), tmp_path / "report.html"
    progress = Progress(time.time(), "search: 9 of about 12 epochs", ["trial 3"], every=1)
    found = Findings(experiment, make_trials({}), lines(SCORES), [], None, None, "", progress=progress)
    write_report(file, found)
    table = '[...document.querySelectorAll("details")].at(-1)'
    begin, state = f"window.before = true; {table}.open = true", f"[window.before === true, {table}?.open]"
    types = f'{begin}; document.querySelector(".filter").focus()'
    assert value_of(file, types, 1.5, state)[-1] == [True, True]
    looks: list[str | float] = [0.3, state] * 15  # some of them may fall into a reload
    assert [False, True] in value_of(file, begin, *looks)
