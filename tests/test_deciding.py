"""Where BLEU can't compare systems, validation loss decides, and the user is told."""

import json
import math
from pathlib import Path

import pytest
from boards import TEST_BLEU
from corpora import write_digits
from hypothesis import given
from hypothesis import strategies as st
from reports import line_of
from test_run import run_here

from search.finals.deciding import decided_by, explain_decisions, explain_ranking, explain_rungs
from search.record.attributes import Attributes
from search.record.study import Study
from search.settings.experiment import Experiment
from search.translation.problem import TRANSLATION
from trainables.base.outcomes import Outcome

BLEU = TRANSLATION.metrics["valid_bleu"]
EXPERIMENT = Experiment.model_validate({})


def study_of(*trials: tuple[float, float], file: Path | None = None) -> Study:
    """Trials that ended after an epoch with this BLEU and loss."""
    study = Study(file, "search", "maximize")
    study.recall([], BLEU)
    for bleu, loss in trials:
        trial = study.add({}, {})
        study.report(trial, 1, bleu, loss)
        study.finish(trial, Outcome.COMPLETED)
    return study


def order(study: Study) -> list[int]:
    return [trial.number for trial in study.best(len(study.trials))]


def test_loss_decides_among_equal_and_among_useless_scores() -> None:
    assert order(study_of((0.0, 3.0), (0.0, 2.0), (0.0, 2.5))) == [1, 2, 0]
    assert order(study_of((0.9, 3.0), (0.1, 2.0))) == [1, 0], "both are near zero"
    assert order(study_of((30.0, 3.0), (30.0, 2.0))) == [1, 0]
    assert order(study_of((1.5, 9.0), (0.9, 2.0))) == [0, 1], "one of them is not"


@given(
    st.lists(
        st.tuples(st.floats(1.01, 100), st.floats(0.1, 9)), min_size=2, max_size=6, unique_by=lambda t: round(t[0], 3)
    )
)
def test_bleu_alone_decides_where_it_differs(trials: list[tuple[float, float]]) -> None:
    by_bleu = sorted(range(len(trials)), key=lambda number: -trials[number][0])
    assert order(study_of(*trials)) == by_bleu


def test_a_study_that_is_opened_again_decides_as_before(tmp_path: Path) -> None:
    trials = ((0.0, 3.0), (0.0, 2.0), (0.0, 2.5))
    study_of(*trials, file=tmp_path / "study.db").close()
    study = Study(tmp_path / "study.db", "search", "maximize")
    study.recall([line_of(n, valid_nll_per_char=loss) for n, (_, loss) in enumerate(trials)], BLEU)
    assert order(study) == [1, 2, 0]
    assert [study.final(trial) for trial in study.trials.values()] == [-3.0, -2.0, -2.5]


def test_an_heir_has_the_losses_of_its_parent(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", "search", "maximize")
    parent = study.add({}, {})
    study.recall([], BLEU)
    study.report(parent, 1, 0.0, 2.0)
    heir = study.add({}, {}, scores=parent.scores, attributes=Attributes(parent=0, inherited=1))
    assert study.merit(heir, 1) == -2.0
    study.close()
    study = Study(tmp_path / "study.db", "search", "maximize")
    study.recall([line_of(0, valid_nll_per_char=2.0)], BLEU)
    assert study.merit(study.trials[1], 1) == -2.0


@pytest.mark.parametrize(
    ("scores", "told"), [([5.0], True), ([0.0], True), ([0.0, 0.9], False), ([7.0, 7.0], False), ([0.0, 1.1], True)]
)
def test_it_is_known_when_bleu_tells_nothing(scores: list[float], told: bool) -> None:
    assert BLEU.tells_apart(scores) == told
    assert decided_by("valid_bleu", BLEU, scores) == ("valid_bleu" if told else "valid_nll_per_char")
    assert decided_by("valid_loss", TRANSLATION.metrics["valid_loss"], scores) == "valid_loss"


NOTHING, BY_LOSS = "BLEU can't compare", "by valid loss per character"
AT_A_RUNG = f"valid {NOTHING} 4 systems that are all below 1 at epoch 1: those that continued were chosen {BY_LOSS}"
AT_THE_END = (
    f"valid {NOTHING} 2 systems that are all equal at the end of the search: the finalists were chosen {BY_LOSS}"
)


@pytest.mark.parametrize(("metric", "says"), [("valid_bleu", [AT_A_RUNG, AT_THE_END]), ("valid_loss", [])])
def test_each_rung_and_the_end_are_explained_by_the_scores_there(metric: str, says: list[str]) -> None:
    """Below 1 at the first rung, told apart at the second, equal at the end among those that came there."""
    study = Study(None, "search", "maximize" if metric == "valid_bleu" else "minimize")
    for scores in ([0.5, 3.0, 9.0], [0.9, 2.0, 9.0], [0.2, 1.5], [0.1]):
        trial = study.add({}, {})
        for epoch, score in enumerate(scores, 1):
            study.report(trial, epoch, score)
        study.finish(trial, Outcome.COMPLETED if len(scores) == 3 else Outcome.STOPPED)
    search = {"metric": metric, "scheduler": {"rungs": [1, 2]}}
    assert explain_decisions(study, Experiment.model_validate({"training": {"epochs": 3}, "search": search})) == says


@pytest.mark.parametrize(("bleus", "alike"), [([0.5, 0.2, 0.0], "below 1"), ([7.0, 7.0, 7.0], "equal")])
def test_a_ranking_by_loss_is_explained(bleus: list[float], alike: str) -> None:
    said = f"test {NOTHING} 3 systems that are all {alike} on the test data: the ranking is {BY_LOSS}, not"
    assert explain_ranking(bleus, TEST_BLEU, EXPERIMENT) == [f"{said} by BLEU"]
    assert explain_ranking([*bleus, 9.0], TEST_BLEU, EXPERIMENT) == []


def test_a_lone_finalist_that_does_not_translate_is_told() -> None:
    assert explain_ranking([0.5], TEST_BLEU, EXPERIMENT) == [
        "test BLEU is below 1: the only finalist has learnt next to nothing"
    ]
    assert explain_ranking([1.5], TEST_BLEU, EXPERIMENT) == []


@pytest.mark.rare
def test_a_search_without_bleu_is_decided_by_loss_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = [1e-8, 1e-7, 0.006, 0.004]
    config = {
        "data": {"path": str(write_digits(tmp_path / "corpus"))},
        "tokenizer": {"vocab_size": 60},
        "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "num_heads": 2, "ffn_dim": 32},
        "training": {"epochs": 3, "batch_tokens": 512, "warmup_steps": 1},
        "space": {"training.learning_rate": {"values": rates}},
        "search": {
            "sampler": "grid",
            "trials": None,
            "scheduler": {"rungs": [1], "reduction_factor": 2},
            "concurrency": 1,
        },
        "finals": {"top": 3, "seeds": 1, "beam_size": 1, "min_distance": 0},
        "tracking": {"wandb": "disabled"},
    }
    file = tmp_path / "config.json"  # JSON is YAML
    file.write_text(json.dumps(config))
    done = run_here(capsys, "--config", str(file), "--output_dir", str(tmp_path), "--name", "low")
    assert done.returncode == 0, done.stderr
    said, folder = done.stdout, tmp_path / "low"
    assert "Ranking by valid loss per character" in said and "Ranking by test BLEU" not in said
    assert "warning: valid BLEU can't compare 4 systems that are all below 1 at epoch 1" in said
    board, finalists = (json.loads((folder / name).read_text()) for name in ("leaderboard.json", "finalists.json"))
    assert board["decided_by"] == finalists["decided_by"] == "valid_nll_per_char"
    rates_of = [entry["config"]["training.learning_rate"] for entry in finalists["finalists"]]
    assert rates_of[:2] == [0.006, 0.004], "those that learnt most went on from the rung, and to the finals"
    first, second, third = board["ranking"]
    assert [line["untrained"] for line in board["ranking"]] == [False, False, True]
    assert f"trial {third['trial']} is untrained" in said
    assert first["config"]["training.learning_rate"] == 0.006 and first["group"] == second["group"] == 1
    assert first["valid_nll_per_char"] < second["valid_nll_per_char"] < math.inf
    report = (folder / "report.html").read_text()
    assert "Ranking by valid loss per character" in report and "Ranking by test BLEU" not in report
    assert "compare 4 systems that are all below 1" in report
    assert "learning_rate: 0.006" in (folder / "best" / "config.yaml").read_text()


def searched(metric: str, *trials: tuple[float, float, float]) -> list[str]:
    """The sentences on a search whose trials had such a score at epoch 2, in the end, and such a final BLEU."""
    experiment = Experiment.model_validate({"training": {"epochs": 8}, "search": {"metric": metric}})
    study = Study(None, "search", experiment.search.direction)
    for at_rung, at_end, bleu in trials:
        trial = study.add({}, {})
        study.report(trial, 2, at_rung)
        study.report(trial, 8, at_end)
        trial.figures = {"valid_bleu": bleu}
        study.finish(trial, Outcome.COMPLETED)
    return explain_rungs(study, experiment)


def test_where_a_loss_is_compared_it_is_told_how_well_rungs_predicted_what_finals_rank_by() -> None:
    """The order of the losses at the rung against that of final BLEU: 1, 2, 3, 4, 5 against 1, 2, 3, 5, 4."""
    trials = [(5.0, 3.0, 10.0), (4.0, 3.0, 20.0), (3.0, 3.0, 30.0), (2.0, 3.0, 50.0), (1.0, 3.0, 40.0)]
    (sentence,) = searched("valid_loss", *trials)
    assert "finals rank by valid BLEU, but trials were compared by valid loss per token at epoch 2" in sentence
    assert "rank correlation 0.90 over 5 trials" in sentence and "search.metric: valid_bleu" in sentence
    assert searched("valid_loss", *trials[:3]) == [], "three say too little"
    assert searched("valid_bleu", *trials) == [], "the same metric, and too few to doubt a rung"
    doubted = [(float(n), 20.0 - n, 0.0) for n in range(9)]
    assert "valid BLEU at epoch 2 said next to nothing about final scores" in searched("valid_bleu", *doubted)[0]
    told = [(float(n), 20.0 + n, 0.0) for n in range(9)]
    assert searched("valid_bleu", *told) == []


def test_a_rung_compares_what_finals_rank_by_unless_the_search_says_what() -> None:
    def metric(**tree: object) -> str:
        return Experiment.model_validate(tree).search.metric

    assert metric() == "valid_bleu" and metric(finals={"rank_by": "chrf"}) == "valid_chrf"
    assert metric(finals={"rank_by": "chrf"}, search={"trials": 3}) == "valid_chrf"
    assert metric(finals={"rank_by": "chrf"}, search={"metric": "valid_bleu"}) == "valid_bleu"
    assert metric(finals={"rank_by": "chrf"}, search={"goals": ["valid_bleu", "-parameters"]}) == "valid_bleu"
    assert metric(finals={"rank_by": "ter"}, problem="pretrained") == "valid_ter"
    assert metric(metrics={"costly": {"model": "x"}}, finals={"rank_by": "costly"}) == "valid_bleu", (
        "it may cost much at each report"
    )
