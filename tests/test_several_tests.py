"""Several tests of one search: each has its own column, interval and record of openings; they rank by first or mean."""

import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sacrebleu
from boards import TEST_BLEU
from corpora import write_digits
from pydantic import ValidationError
from test_run import run_here, write_config
from test_significance import statistics

from search.finals.item_tests import SEED, resampled_sums
from search.finals.leaderboard import compare_beside, score_of
from search.finals.significance import weigh
from search.settings.experiment import Experiment
from search.translation.final_metrics import FinalMetrics, Score
from search.translation.finals import FINALS
from search.translation.finals_config import Decoding
from search.translation.scoring import ScoredModel, signatures_on
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.metric_config import Metrics
from trainables.base.sealing import read_sealed
from trainables.data.corpora.corpus import count_references, digest_test, read_corpus, read_test
from trainables.data.corpora.scoring import Scoring
from trainables.data.reading.text import ReferencedSplit, Split
from trainables.scoring.bleu import bleu_of_sums
from trainables.scoring.metrics import find_metric
from trainables.training.evaluation import score


def experiment(**finals: Any) -> Experiment:
    tests = ["test", "test_2017_flickr", "sacrebleu://wmt24/en-de"]
    return Experiment.model_validate({"data": {"path": "/corpus", "test": tests, "target": "de"}, "finals": finals})


def test_each_test_has_a_short_name_of_its_own() -> None:
    assert experiment().trial.model_dump()["data"]["test"] == ("test", "test_2017_flickr", "sacrebleu://wmt24/en-de")
    names = {"test": "test", "set_2017_flickr": "test_2017_flickr", "wmt24_en_de": "sacrebleu://wmt24/en-de"}
    assert DataConfig(path="/c", target="de", test=tuple(names.values())).tests == names
    assert DataConfig(test="devtest").tests == DataConfig(test=("devtest",)).tests == {"test": "devtest"}


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (["test", "test"], "test: train, valid and each test must name different splits"),
        (["test", "valid"], "must name different splits"),
        (["test", "a-b", "a_b"], "two of its names differ in special characters alone; rename one"),
        (["test", "hf://x"], "hf://x: is the name of a split"),
        ([], "at least 1 item"),
    ],
)
def test_names_that_can_not_be_tests(test: Any, message: str) -> None:
    with pytest.raises(ValidationError) as told:
        DataConfig.model_validate({"path": "/corpus", "test": test})
    assert message in str(told.value)


def test_the_first_test_ranks_or_the_mean_of_all() -> None:
    first, mean = FinalMetrics(experiment()), FinalMetrics(experiment(rank_tests="mean", rank_by="ter"))
    assert first.ranked_by == Score("bleu", ("test",)) and mean.ranked_by.name == "mean_ter"
    names = ["test_chrf", "test_ter", "set_2017_flickr_bleu", "set_2017_flickr_chrf"]
    assert [score.name for score in first.scores[1:5]] == names
    assert len(mean.scores) == 1 + 3 * 3
    shown = [mean.test_metric(score) for score in mean.scores]
    titles = ["mean test TER", "test BLEU", "test chrF++", "test TER", "test_2017_flickr BLEU"]
    assert [each.metric.title for each in shown[:5]] == titles
    assert shown[0].of_sums(np.array([[1.0, 10, 3, 10, 5, 10], [0, 1, 0, 1, 3, 1]])) == pytest.approx([30.0, 100.0])
    assert shown[0].metric.direction == "minimize"
    assert list(mean.test_metric(Score("bleu", ("test", "wmt24_en_de"))).beside)[:2] == ["test", "set_2017_flickr"]
    assert first.test_metric(first.ranked_by).beside == {
        "set_2017_flickr": "set_2017_flickr_bleu",
        "wmt24_en_de": "wmt24_en_de_bleu",
        "chrF++": "test_chrf",
        "sent.BLEU": "test_sentence_bleu",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finals": {"rank_by": "blue"}}, r"finals\.rank_by: 'blue' is not a metric; did you mean bleu\?"),
        (
            {"metrics": {"neural": "my:metric"}, "finals": {"neural_metric": "my:other"}},
            r"finals\.neural_metric: metrics\.neural is a metric already; name one of them",
        ),
    ],
)
def test_metrics_that_finals_can_not_have(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FINALS.check(Experiment.model_validate(changes))


def test_one_score_for_a_whole_text_is_a_column_and_no_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "whole", SimpleNamespace(one=lambda sources, found, wanted: 0.25))
    written = ["un deux trois quatre", "trois"]
    result = ScoredModel(2, Decoding(1, 1.0), 9.0, score(written, written, Scoring("13a")), None, written, 10)
    model = SimpleNamespace(folder=tmp_path, identity="of the model")
    monkeypatch.setattr("search.translation.finals.score_all", lambda *_: [result])
    test = {"test": Split(["one two", "three"], written)}

    def tested(**finals: Any) -> list[ScoredModel]:
        asked = Experiment.model_validate({"metrics": {"mine": "whole:one"}, "finals": finals})
        console: Any = SimpleNamespace(status=lambda text: nullcontext())
        return FINALS.test([model], test, asked, 0, console)  # type: ignore[list-item]

    (found,) = tested()
    assert found.further == {"mine": 0.25} and found.score == pytest.approx(100)
    assert read_sealed(tmp_path / "test_mine.json")["statistics"] == [[0.25, 1.0]]
    assert compare_beside([[(np.array([[0.25, 1.0]]),)]], TEST_BLEU) is None, "no interval"
    with pytest.raises(UserError, match=r"finals\.rank_by: mine gives one score for the whole text"):
        tested(rank_by="mine")


def test_each_test_is_resampled_by_itself() -> None:
    """The samples of a mean are the means of independent samples; one test alone has the numbers that it had."""
    mean = FinalMetrics(experiment(rank_tests="mean")).test_metric(Score("bleu", ("test", "set_2017_flickr")))
    one, other = statistics(0.8, 90, seed=3), statistics(0.6, 90, seed=4)
    samples = [bleu_of_sums(resampled_sums(each, seed=SEED + test)) for test, each in enumerate((one, other))]
    (low, high), score = weigh([[(one, other)]], mean).intervals[0], score_of(mean, (one, other))
    expected = np.quantile((samples[0] + samples[1]) / 2, [0.025, 0.975])
    centre = float(((samples[0] + samples[1]) / 2).mean())
    assert (low - score, high - score) == pytest.approx(expected - centre)
    assert abs(np.corrcoef(samples[0], samples[1])[0, 1]) < 0.05, "tests of one size do not draw the same sentences"
    assert weigh([[(one,)]], TEST_BLEU) == weigh(
        [[(one,)]], FinalMetrics(experiment()).test_metric(Score("bleu", ("test",)))
    )


@pytest.fixture
def several_references(tmp_path: Path) -> Path:
    """A corpus whose test has three references: the right one, and two that share fewer and fewer words with it."""
    folder = write_digits(tmp_path / "corpus")
    right = (folder / "test.fr").read_text(encoding="utf-8")
    (folder / "test.fr").unlink()
    for number, text in enumerate((right, right.replace("un", "une"), right.replace("deux", "2").replace("un", "1"))):
        (folder / f"test.fr.{number}").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("path", ["", "/{split}.{language}"])
def test_a_test_has_several_references(path: str, several_references: Path, tmp_path: Path) -> None:
    config = DataConfig(path=f"{several_references}{path}")
    (tmp_path / "finalists.json").write_text(json.dumps({"frozen_at": "now"}))
    test = read_test(config, tmp_path, "a test")
    references = [
        (several_references / f"test.fr.{number}").read_text(encoding="utf-8").splitlines() for number in range(3)
    ]
    assert [*test.references] == references and test.target == references[0] and count_references(config) == 3
    digest = digest_test(config, read_corpus(config).train)
    written = [line.replace("trois", "3") for line in references[2]]
    official = {
        "bleu": sacrebleu.corpus_bleu(written, references),
        "chrf": sacrebleu.corpus_chrf(written, references, word_order=2),
        "ter": sacrebleu.corpus_ter(written, references),
    }
    for name, wanted in official.items():
        assert find_metric(name, config, Metrics()).score(test, written) == pytest.approx(wanted.score)
    scores = score(written, test.target, Scoring("13a"), *test.references[1:])
    assert [scores.bleu, scores.chrf, scores.ter] == pytest.approx([each.score for each in official.values()])
    assert "nrefs:3" in signatures_on(config, "test")["bleu"]
    (several_references / "test.fr.2").unlink()
    assert digest_test(config, read_corpus(config).train)["sha256"] != digest["sha256"]


def test_the_score_of_a_sentence_is_the_mean_over_references(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = SimpleNamespace(shares=lambda sources, found, wanted: [len(w) for w in wanted])
    monkeypatch.setitem(sys.modules, "lengths", lengths)
    found = find_metric("mine", DataConfig(), Metrics.model_validate({"mine": "lengths:shares"}))
    text = ReferencedSplit(["a", "b"], ["1", "22"], (["333", "4444"],))
    assert found.statistics(text, ["x", "y"]).tolist() == [[2.0, 1.0], [3.0, 1.0]]


def test_references_that_can_not_be_are_told(several_references: Path) -> None:
    config, train = (
        DataConfig(path=str(several_references)),
        read_corpus(DataConfig(path=str(several_references))).train,
    )
    second = several_references / "test.fr.1"
    good = second.read_text(encoding="utf-8")
    for text, message in (
        ("un\n" + good, "reference 1 of test has 41 lines, its source 40"),
        ("\n" + good.partition("\n")[2], "reference 1 of test has a blank line at line 1; write it"),
    ):
        second.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            digest_test(config, train)
    (several_references / "test.fr").write_text(good, encoding="utf-8")
    with pytest.raises(UserError, match=r"test\.fr and test\.fr\.0 are both there; keep one of them"):
        digest_test(config, train)
    (several_references / "test.fr").unlink()
    for number in range(2):
        (several_references / f"valid.fr.{number}").write_bytes((several_references / "valid.fr").read_bytes())
    (several_references / "valid.fr").unlink()
    with pytest.raises(UserError, match="valid has 2 references, and only tests may have several; keep the first"):
        read_corpus(config)


def test_a_search_with_two_tests_ranks_by_their_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(
        tmp_path,
        search={"trials": 2, "concurrency": 1},
        finals={"top": 2, "seeds": 1, "beam_size": 1, "rank_tests": "mean"},
        training={"epochs": 2, "batch_tokens": 128, "warmup_steps": 20},
    )
    more = write_digits(tmp_path / "more", train=600, test=25, seed=7)
    for language in ("en", "fr"):
        (tmp_path / "corpus" / f"news.{language}").write_bytes((more / f"test.{language}").read_bytes())
    options = ["--data.test", '["test","news"]', "--name", "two"]
    done = run_here(capsys, "--config", str(config), *options)
    assert done.returncode == 0, done.stderr
    assert "Ranking by mean test BLEU" in done.stdout
    run_dir = tmp_path / "runs" / "two"
    openings = [json.loads(line) for line in (run_dir / "test_opened.jsonl").read_text().splitlines()]
    assert [line["test"] for line in openings] == ["test", "news"] * 2
    assert set(read_sealed(run_dir / "inputs.json")["splits"]) >= {"test text", "news text"}
    board = json.loads((run_dir / "leaderboard.json").read_text())
    assert board["metric"] == "mean_bleu" and board["corpus"]["other_tests"] == {"news": 25}
    assert set(board["further"]) == {f"{test}_{name}" for test in ("test", "news") for name in ("bleu", "chrf", "ter")}
    for entry in board["ranking"]:
        (number,) = entry["final_trials"]
        for test in ("test", "news"):
            kept = read_sealed(run_dir / "finals" / str(number) / f"{test}.json")
            references = (tmp_path / "corpus" / f"{test}.fr").read_text(encoding="utf-8").splitlines()
            bleu = sacrebleu.corpus_bleu(kept["translations"], [references]).score
            assert entry[f"{test}_bleu"] == pytest.approx(bleu)
            assert entry[f"{test}_bleu_ci"][0] <= bleu <= entry[f"{test}_bleu_ci"][1]
        assert entry["mean_bleu"] == pytest.approx((entry["test_bleu"] + entry["news_bleu"]) / 2)
    assert board["ranking"][0]["mean_bleu"] >= board["ranking"][1]["mean_bleu"]
    page = (run_dir / "report.html").read_text(encoding="utf-8")
    assert "news BLEU" in page and "40 + 25 test pairs" in page

    # A test that is scored later has the scores that it would have had, and changes no ranking.
    before = (run_dir / "leaderboard.json").read_bytes()
    for language in ("en", "fr"):
        (more / f"late.{language}").write_bytes((more / f"test.{language}").read_bytes())
    later = ["score", str(run_dir), "--data.path", str(more), "--data.test", "late"]
    done = run_here(capsys, *later)
    assert done.returncode == 0 and "On late" in done.stdout, done.stderr
    assert (run_dir / "leaderboard.json").read_bytes() == before
    found = read_sealed(run_dir / "scores" / "late.json")
    assert (found["test"], found["path"], found["pairs"]) == ("late", str(more), 25)
    for entry, line in zip(board["ranking"], found["finalists"], strict=True):
        assert (line["rank"], line["trial"]) == (entry["rank"], entry["trial"])
        for name in ("bleu", "chrf", "ter"):
            assert line[name] == pytest.approx(entry[f"news_{name}"])
            assert line[f"{name}_ci"] == pytest.approx(entry[f"news_{name}_ci"])
            assert line[f"{name}_group"] == entry[f"news_{name}_group"]
    (pair,), (same,) = found["comparisons"]["bleu"], board["further"]["news_bleu"]
    assert (pair["a"], pair["b"], pair["p_holm"]) == (same["a"], same["b"], pytest.approx(same["p_holm"]))
    last = json.loads((run_dir / "test_opened.jsonl").read_text().splitlines()[-1])
    assert last["why"] == f"score: late of {more}"
    assert run_here(capsys, *later).returncode == 0, "the same text may be scored again"
    (more / "late.fr").write_text((more / "late.fr").read_text().replace("un", "deux"))
    other = run_here(capsys, *later)
    assert other.returncode == 2 and "has the scores of another text of that name" in other.stderr


def test_what_can_not_be_scored_later_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(Path(__file__).parent / "runs" / "0.1", run_dir)
    for options, message in (
        ([], "score: name the test by --data.test NAME"),
        (["--data.test", "news", "--data.target", "de"], "the models translate en to fr; name no other languages"),
        (["--data.tst", "news"], "--data.tst: unknown option; did you mean --data.test?"),
    ):
        done = run_here(capsys, "score", str(run_dir), *options)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    (run_dir / "leaderboard.json").unlink()
    assert "has no ranking yet; resume it first" in run_here(capsys, "score", str(run_dir), "--data.test", "x").stderr
