"""The report: one file without a network, with the answer first, whatever the search was like."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from as_plotly import as_plotly
from boards import TEST_BLEU, board, entry
from optuna.trial import TrialState
from reports import line_of
from test_effects import HALVED, halved_search

from search.effects.analysis import analyse
from search.effects.observing import observe
from search.finals.board import Leaderboard
from search.record.attributes import Attributes
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.answer import answer
from search.report.explaining import explain
from search.report.figures.coordinates import parallel_coordinates
from search.report.figures.settings import effects_figure, slices
from search.report.page import Findings, write_report
from search.settings.experiment import Experiment
from search.space.space import Params
from search.translation.attention_figures import AttendedSentence, Attention
from search.translation.corpus_facts import CorpusFacts, SideFacts, SplitFacts
from search.translation.finals import FINALS
from search.translation.problem import TRANSLATION
from search.translation.sections import render as render_sections
from search.translation.sentences import Bucket, Sample, Sentences
from trainables.base.outcomes import Outcome

SPACE = {
    "model.d_model": {"values": [64, 128]},
    "training.learning_rate": {"min": 0.001, "max": 0.01, "distribution": "log_uniform_values"},
}
SCORES = {0: [1.0, 12.0, 20.5, 24.0], 1: [0.5, 3.0], 2: [2.0, 14.0, 22.0, 25.0], 3: []}
OUTCOMES = {0: "completed", 1: "stopped", 2: "completed", 3: "diverged"}


def make_experiment(**changes: Any) -> Experiment:
    return Experiment.model_validate({"name": "demo", "training": {"epochs": 4}, "space": SPACE, **changes})


def make_trials(params: dict[str, Any]) -> list[StudyTrial]:
    return [
        StudyTrial(
            number,
            number,
            params,
            TrialState.COMPLETE,
            dict(enumerate(scores, 1)),
            Attributes(Outcome(OUTCOMES[number]), "" if scores else "the loss became <nan>"),
            scores[-1] if OUTCOMES[number] == "completed" else None,
        )
        for number, scores in SCORES.items()
    ]


SECONDS = {"train_seconds": 20.0, "eval_seconds": 5.0}


def lines(scores: dict[int, list[float]]) -> list[JournalLine]:
    return [
        line_of(t, e, train_loss=5.0 - e, valid_loss=4.5 - e, valid_bleu=s, valid_nll_per_char=2.0, **SECONDS)
        for t, trial in scores.items()
        for e, s in enumerate(trial, 1)
    ]


class Page(HTMLParser):
    """What a browser would load, and the text it would show."""

    def __init__(self, file: Path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.tables: list[list[list[str]]] = []  # rows of cells
        self.in_cell = False
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        self.in_cell = self.in_cell or tag in ("th", "td")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""
        self.in_cell = self.in_cell and tag not in ("th", "td")
        self.text += " " if tag == "dt" else ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.text += data
            if self.in_cell:
                self.tables[-1][-1][-1] += data.strip()


def attended() -> AttendedSentence:
    """Two layers of two heads; "the" occurs twice in the source."""
    source, target, start = ["▁the", "</script>", "▁the", "</s>"], ["▁le", "</s>"], ["<s>", "▁le"]
    cross = np.full((2, 2, 2, 4), 25, dtype=np.uint8)
    cross[1, :, 0] = [[0, 90, 10, 0], [0, 70, 30, 0]]  # the last layer, "▁le"
    encoder, decoder = np.full((2, 2, 4, 4), 25, dtype=np.uint8), np.full((2, 2, 2, 2), 50, dtype=np.uint8)
    return AttendedSentence(
        "the </script> the",
        "le",
        Attention("cross", target, source, cross),
        Attention("encoder", source, source, encoder),
        Attention("decoder", target, start, decoder),
    )


def facts() -> CorpusFacts:
    sides = (
        SideFacts("en", tokens=70_000, mean=8.75, median=8, longest=17, histogram=[0, 5, 9]),
        SideFacts("fr", tokens=90_000, mean=11.25, median=10, longest=21, histogram=[0, 4, 10]),
    )
    train, valid, test = (
        SplitFacts("training", 8000, *sides, overlong=12, seen_sources=None, seen_pairs=None),
        SplitFacts("validation", 500, *sides, overlong=0, seen_sources=0, seen_pairs=0),
        SplitFacts("test", 500, *sides, overlong=0, seen_sources=25, seen_pairs=3),
    )
    return CorpusFacts((train, valid, test))


PARAMS: Params = {"model.d_model": 128, "training.learning_rate": 0.00432109}


def render(folder: Path, experiment: Experiment, leaderboard: Leaderboard, scores: dict[int, list[float]]) -> Page:
    params = leaderboard.ranking[0].config
    trials = [trial for trial in make_trials(params) if trial.number in scores]
    shown = [Sample("a <b>bold</b> & source", "référence", {"trial 2": "</script><script>alert(1)</script>"})]
    worst = [Sample("worst", "pire", {"trial 2": "translation"}, 41, 3.25)]
    buckets = [Bucket("1–10", 25, [31.5] * len(leaderboard.ranking))]
    systems = [entry.trial for entry in leaderboard.ranking]
    sentences = Sentences(shown, True, worst, TEST_BLEU, "words", TEST_BLEU, systems, buckets)
    finals = lines({0: [20.0, 25.0], 1: [21.0, 26.0], 2: [19.0, 22.0], 3: [19.0, 23.0]})
    report = folder / "report.html"
    opened, spending = ["2026-01-01T01:01:01+0000", "2026-01-02T03:04:05+0000"], ["31 of 40 epochs (78%)"]
    found = Findings(
        experiment=experiment,
        trials=trials,
        reports=lines(scores),
        finals=finals,
        leaderboard=leaderboard,
        by=TEST_BLEU,
        data=FINALS.describe_data(leaderboard),
        sections=render_sections(leaderboard, experiment, sentences, [attended()], facts()),
        test_opened=opened,
        spending=spending,
        planned=["22 of 20 epochs planned"],
    )
    write_report(report, found)
    return Page(report)


def test_the_page_holds_all_sections_and_needs_no_network(tmp_path: Path) -> None:
    ranked = board(entry(1, 2, 26.0, 1, PARAMS), entry(2, 0, 22.5, 2, PARAMS))
    page = render(tmp_path, make_experiment(), ranked, SCORES)
    loaded = [attrs.get(key) or "" for _, attrs in page.tags for key in ("src", "href")]
    assert all(not url or url.startswith("data:") for url in loaded), "beside the page lie no files"
    images = [attrs for _, attrs in page.tags if attrs.get("role") == "img"]
    assert [tag for tag, _ in page.tags].count("figure") == len(images)
    assert len(images) == 2 + 3 + 1 + len(SPACE) + 3 + 1, "finalists, training, coordinates, slices, attention, lengths"
    assert all(image["aria-label"] for image in images)
    for text in answer(ranked, TEST_BLEU, TRANSLATION.metrics):
        assert text in page.text
    for text in ("a <b>bold</b> & source", "</script><script>alert(1)</script>", "<corpus>", "the loss became <nan>"):
        assert text in page.text, "shown as text, not taken as markup"
    seen = "layer 2, mean of 2 heads; each token and the one it attends to most: ▁le: </script> 80%; </s>: ▁the 25%"
    assert f"Cross-attention, {seen}" in [image["aria-label"] for image in images]
    for text in (
        "22 of 20 epochs planned",
        "26.00",
        "24.5–27.4",
        "nrefs:1|version:2",
        "0.00432",
        "2026-01-02T03:04:05",
        "learning rate",
    ):
        assert text in page.text
    for text in ("2 and 0", "+1.2 to +5.8", "0.0101", "0.0202", "0.0303", "0.0404", "61.5", "1.875", "case:lc"):
        assert text in page.text, "the evidence behind the groups, and the other metrics"
    assert "31 of 40 epochs" in page.text and "6 saved" in page.text
    assert "25 (5.0%)" in page.text and "3 (0.6%)" in page.text, "test sentences that training saw"
    assert "Too few trials with scores to tell the effects apart: 6 are needed" in page.text
    assert "opened once before" in page.text and "2026-01-01T01:01:01" in page.text
    assert re.search(r"plotly\.js (\(cartesian[^)]*\) )?v\d", (tmp_path / "report.html").read_text()), (
        "the library is inside"
    )


def ranked_by(*systems: tuple[float, int, int]) -> Leaderboard:
    """Systems of so much BLEU, in such groups, with so many seeds: trial 2, then 0, 5 and 7."""
    trials = zip((2, 0, 5, 7), systems, strict=False)
    return board(*(entry(place, t, b, g, PARAMS, s) for place, (t, (b, g, s)) in enumerate(trials, 1)))


ONE_SEED = "chance among test sentences explains; what another seed would change is not known from one (paired tests"
SEEDS = "chance among test sentences and seeds explains (paired tests"


@pytest.mark.parametrize(
    ("ranked", "says"),
    [
        (ranked_by((26.0, 1, 2)), "It is the only finalist, so its lead is unknown."),
        (ranked_by((26.0, 1, 2), (22.5, 2, 2)), f"leads the next finalist, trial 0, by 3.50 BLEU, more than {SEEDS}"),
        (ranked_by((26.0, 1, 2), (22.5, 2, 2), (20.0, 3, 1)), SEEDS),
        (ranked_by((26.0, 1, 1), (22.5, 2, 1)), ONE_SEED),
        (ranked_by((26.0, 1, 2), (22.5, 2, 1), (20.0, 3, 2)), ONE_SEED),
        (ranked_by((26.0, 1, 1), (22.5, 2, 2)), ONE_SEED),
        (
            ranked_by((26.0, 1, 2), (25.9, 1, 2), (20.0, 2, 2)),
            "tests can't tell it apart from trial 0 (25.90); the smallest among them is trial 0 with 0.50 million.",
        ),
        (
            ranked_by((26.0, 1, 1), (25.9, 1, 2), (25.8, 1, 2), (20.0, 2, 2)),
            "apart from trials 0 (25.90), 5 (25.80); the smallest among them is trial 5 with 0.33 million.",
        ),
    ],
)
def test_the_answer_is_three_sentences_that_say_how_sure_it_is(ranked: Leaderboard, says: str) -> None:
    """And that claim nothing of seeds where one of the two that are compared has one alone."""
    first, second, third = answer(ranked, TEST_BLEU, TRANSLATION.metrics)
    seeds = len(ranked.ranking[0].seeds)
    assert first == (
        "The best of 4 configurations is trial 2 (d_model=128 learning_rate=0.00432): 26.00 BLEU on the test data, "
        f"95% interval 24.5 to 27.4, {seeds} {'seed' if seeds == 1 else 'seeds'}, 1.00 million parameters."
    )
    assert says in second
    assert third == (
        "The search trained 10 epochs, 62% of those that all trials would have had without stopping: 3 min on its "
        "devices, 67 min by the clock."
    )


def test_an_answer_by_loss_claims_nothing_by_bleu() -> None:
    by_loss = replace(ranked_by((0.5, 1, 2), (0.75, 1, 2)), decided_by="valid_nll_per_char")
    first, second = answer(by_loss, TEST_BLEU, TRANSLATION.metrics)
    assert first == (
        "BLEU can't say which of 4 configurations is best. By valid loss per character it is trial 2 (d_model=128 "
        "learning_rate=0.00432) with 0.5000, and 0.50 BLEU on the test data."
    )
    assert second.startswith("The search trained 10 epochs, 62%")


def test_every_cell_of_the_tables_is_what_was_found(tmp_path: Path) -> None:
    """Tables of finalists, trials, pairs and splits that differ in each column."""
    other = entry(2, 0, 22.5, 2, {"model.d_model": 64}, seeds=1)
    figures: dict[str, float | None] = {
        "test_chrf": 47.25,
        "test_ter": 63.0,
        "test_ppl_per_char": None,
        "beam_size": 2,
        "length_penalty": 1.0,
        "test_sentence_bleu": 19.75,
    }
    other = replace(other, figures={**other.figures, **figures})
    page = render(tmp_path, make_experiment(), board(entry(1, 2, 26.0, 1, PARAMS), other), SCORES)
    ranking, pairs, measures, lengths, data, trials = page.tables
    assert lengths == [["words", "sentences", "trial 2", "trial 0"], ["1–10", "25", "31.50", "31.50"]]
    assert "sentence 41 BLEU 3.25" in " ".join(page.text.split())
    assert ranking[1:] == [
        ["1", "1", "2", "26.00", "24.5–27.4", "2", "0.30", "24.00", "0.5000", "1,000,000", "128", "0.00432"],
        ["2", "2", "0", "22.50", "21.0–23.9", "1", "–", "20.50", "1.0000", "500,000", "64", "–"],
    ]
    assert ranking[0][:4] + ranking[0][7:10] == [
        *("rank", "group", "trial", "BLEU"),
        *("valid BLEU", "valid loss per character", "parameters"),
    ]
    assert pairs[1:] == [["2 and 0", "+3.50", "+1.2 to +5.8", "0.0101", "0.0202", "0.0303", "0.0404"]]
    assert [heading.replace("p, ", "") for heading in pairs[0][3:]] == [
        *("bootstrap", "randomisation", "with seeds", "corrected")
    ]
    assert measures == [
        [
            *("trial", "BLEU", "chrF++", "TER, lower is better", "mean sentence BLEU", "perplexity per character"),
            *("beam size", "length penalty", "on the Pareto front"),
        ],
        ["2", "26.00", "50.0 (48.5–51.5)", "61.5 (60.0–63.0)", "25.0", "1.875", "5", "0.8", "yes"],
        ["0", "22.50", "47.2 (48.5–51.5)", "63.0 (60.0–63.0)", "19.8", "–", "2", "1", "no"],
    ]
    sides = ["70,000", "8.8", "8", "17", "90,000", "11.2", "10", "21"]
    assert data[0][2:6] == ["en tokens", "mean per sentence", "median", "longest"] and data[0][6] == "fr tokens"
    assert data[1:] == [
        ["training", "8,000", *sides, "–", "–"],
        ["validation", "500", *sides, "0 (0.0%)", "0 (0.0%)"],
        ["test", "500", *sides, "25 (5.0%)", "3 (0.6%)"],
    ]
    assert trials[1:] == [
        ["0", "completed", "4", "24.00", "128", "0.00432", ""],
        ["1", "stopped", "2", "3.00", "128", "0.00432", ""],
        ["2", "completed", "4", "25.00", "128", "0.00432", ""],
        ["3", "diverged", "0", "–", "128", "0.00432", "the loss became <nan>"],
    ]
    facts = " ".join(page.text.split())
    for told in (
        "epochs trained 10 of the 16 that all trials would have had without stopping: 6 saved",
        "device time 3 min (200 GPU-seconds;",
        "by the clock 67 min",
        "idle slots 3.4 s between two trainings, over all slots",
        "finals 8 more epochs, 3 min of device time",  # four of two epochs, 25 s each
        "8,000 training, 500 validation, 500 test pairs",
        f"12 training pairs above {make_experiment().trial.model_dump()['data']['max_tokens']} tokens were left out",
    ):
        assert told in facts, told


@pytest.mark.parametrize(
    ("metric", "told"), [("valid_bleu", False), ("valid_loss", True), ("valid_nll_per_char", True)]
)
def test_where_lower_is_better_the_page_says_so(metric: str, told: bool, tmp_path: Path) -> None:
    experiment = make_experiment(search={"metric": metric})
    page = render(tmp_path, experiment, board(entry(1, 2, 26.0, 1, PARAMS)), SCORES)
    assert ("Lower is better." in page.text) == told


def test_a_search_of_one_trial_without_a_space_has_a_report(tmp_path: Path) -> None:
    only = entry(1, 0, 24.0, 1, {}, seeds=0)
    alone = board(replace(only, figures={**only.figures, "test_neural": 0.8125}))
    experiment = make_experiment(space={}, finals={"seeds": 0, "neural_metric": "my.metrics:fluency"})
    page = render(tmp_path, experiment, alone, {0: [24.0]})
    assert "my.metrics:fluency" in page.text and "0.812" in page.text
    assert "only finalist" in page.text and "What each setting did" not in page.text


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_a_forecast_is_never_drawn_as_a_score(unit: str) -> None:
    """16 trials, of which 4 came to the end."""
    trials = halved_search(np.random.default_rng(1), 16)
    experiment = HALVED
    if unit == "step":
        training = HALVED.training.model_copy(update={"epochs": 2, "report_steps": 1})
        experiment = HALVED.model_copy(update={"training": training})
        for trial in trials:
            trial.attributes = replace(trial.attributes, epoch_steps=4)
    seen = observe(experiment, trials, [], [])
    assert seen is not None
    found = analyse(experiment.space, seen)
    finals = sorted(trial.scores[8] for trial in trials if trial.outcome == "completed")
    for figure in slices(experiment, trials, found):
        assert (
            as_plotly(figure).layout.yaxis.title.text == f"valid BLEU at {unit} 8"
            and as_plotly(figure).layout.showlegend
        )
        measured, forecast = as_plotly(figure).data[:2]
        assert (measured.name, measured.marker.symbol, sorted(measured.y)) == ("measured", "circle", finals)
        assert f"measured at {unit} 8" in measured.hovertemplate and f"forecast for {unit} 8" in forecast.hovertemplate
        assert (forecast.name, forecast.marker.symbol, len(forecast.y)) == ("forecast", "circle-open", 12)

    plot = as_plotly(parallel_coordinates(experiment, trials, found, []))
    legend = {line.name: (line.line.dash, line.marker.symbol) for line in plot.data if line.showlegend is None}
    marks = {f"measured at {unit} 8": ("solid", "circle"), f"forecast for {unit} 8": ("dot", "circle-open")}
    assert legend == marks and f"valid BLEU<br>at {unit} 8" in [each.text for each in plot.layout.annotations]
    dots, circles = [trace for trace in plot.data if trace.mode == "markers"]
    assert (dots.marker.symbol, circles.marker.symbol, len(circles.text)) == ("circle", "circle-open", 12)
    assert all(text.endswith(f" at {unit} 8") for text in dots.text)
    assert all(re.search(rf"forecast for {unit} 8, from {unit} [24]", text) for text in circles.text)
    dashes = {trace.line.dash: sum(y is None for y in trace.y) + 1 for trace in plot.data if trace.mode == "lines"}
    assert set(dashes) == {"solid", "dot"}

    explained = explain(experiment, trials, [], [])
    assert explained is not None and explained.stage == f"at {unit} 8"
    counted = [figure.caption for figure in explained.figures if "12 are forecasts for stopped" in figure.caption]
    assert len(counted) == 2 and "12 are forecasts for stopped" in explained.counted, "coordinates, importances, slices"

    if unit == "step":  # another tokenizer, other steps
        stopped = next(trial for trial in trials if trial.outcome == "stopped")
        stopped.attributes = replace(stopped.attributes, epoch_steps=5)
        seen = observe(experiment, trials, [], [])
        assert seen is not None and seen.stage == "at the end of training"
        assert "forecast for step 10" in analyse(experiment.space, seen).scores[stopped.number].as_text(unit)


def test_no_bar_runs_off_the_scale() -> None:
    trials = halved_search(np.random.default_rng(1), 16)
    seen = observe(HALVED, trials, [], [])
    assert seen is not None
    found = analyse(HALVED.space, seen)
    assert [effect.path for effect in found.effects if effect.needed is not None] == ["model.encoder_layers"]
    figure = effects_figure(found, "BLEU")
    assert as_plotly(figure).layout.xaxis.title.text == "difference in BLEU at epoch 8"
    assert "Not drawn, as these trials cannot tell: encoder_layers." in figure.caption
    assert "encoder layer" not in figure.alternative and len(as_plotly(figure).data) == 2
    for effect in slices(HALVED, trials, found):
        assert all(2 * margin <= seen.scale for margin in as_plotly(effect).data[-1].error_y.array)
    layers = slices(HALVED, trials, found)[0]
    assert re.fullmatch(r"No mean at 1, 2: these trials cannot tell it; about \d+ would\.", layers.caption)
