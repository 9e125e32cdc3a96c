"""What every sampler promises, and what those with a model learn."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.engine.proposals import SearchPlan
from search.planning.own_models import MODELS
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import SAMPLERS as TABLE
from search.samplers import Sampler, Task
from search.settings.experiment import Experiment
from search.space.space import Params
from trainables.base.outcomes import Outcome

SAMPLERS = list(TABLE)
LEARNING = ("default", "tpe", "gp", "cmaes", "nsga2")
FINITE = {
    "model.d_model": {"values": [96, 128, 192]},
    "model.num_heads": {"values": [3, 8, 32]},  # 128 and 3 don't go together
    "model.positions": {"values": ["sinusoidal", "relative"]},
    "model.max_distance": {"values": [4, 8, 16]},  # for relative positions alone
}
INFINITE = FINITE | {
    "model.dropout": {"min": 0.0, "max": 0.5},
    "training.learning_rate": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"},
    "training.warmup_steps": {"min": 0, "max": 1000, "distribution": "q_uniform", "q": 100},
}
NUM_SHAPES = 8  # widths and numbers of heads that go together
NUM_FINITE = NUM_SHAPES * (1 + 3)


def experiment(
    sampler: str | dict[str, Any], space: Mapping[str, Any], trials: int | None = 100, **search: Any
) -> Experiment:
    return Experiment.model_validate({"space": space, "search": {"sampler": sampler, "trials": trials, **search}})


def made_up(params: Params) -> float:
    return float(str(params["model.d_model"])) / 100 + float(str(params.get("model.dropout", 0))) % 0.37


def draw(
    experiment: Experiment,
    most: int = 100,
    workers: int = 1,
    score: Callable[[Params], float] = made_up,
    end: Callable[[Study, StudyTrial], None] | None = None,
) -> tuple[Study, list[Params]]:
    """Propose until there is no more, `workers` trials running at a time, each ended with a score or by `end`."""
    plan, study = SearchPlan(experiment), Study(None, "search", experiment.search.direction)
    drawn: list[Params] = []
    running: list[StudyTrial] = []
    while len(drawn) < most and (proposal := plan.propose(study)) is not None:
        drawn.append(proposal.params)
        running.append(study.add(proposal.params, plan.distributions, proposal.memory))
        if len(running) == workers:
            trial = running.pop(0)
            if end is not None:
                end(study, trial)
            if not trial.scores and trial.running:
                study.report(trial, 1, score(trial.params))
                study.finish(trial, Outcome.COMPLETED)
    return study, drawn


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_kind_is_described_and_made(sampler: str) -> None:
    settings = TABLE.read(sampler)
    assert settings.__doc__ and settings.__doc__ != type(settings).__mro__[1].__doc__, (
        f"say in the docstring of {type(settings).__name__} what {sampler} proposes: `--help` shows it"
    )
    searched = experiment(sampler, FINITE)
    made = settings.make(Task(searched.space, searched.accept, 0))
    assert isinstance(made, Sampler), f"{type(made).__name__} needs what search/samplers/base.py asks for"
    design = (Path(__file__).parents[1] / "docs" / "explanation" / "searching.md").read_text()
    rows = [line for line in design.splitlines() if line.startswith("| ") and f"`{sampler}`" in line.split("|")[1]]
    assert rows, f"say what {sampler} proposes in the table of samplers in docs/explanation/searching.md"


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("workers", [1, 4])
def test_proposes_every_trial_of_a_finite_space_once(sampler: str, workers: int) -> None:
    searched = experiment(sampler, FINITE)
    _, drawn = draw(searched, workers=workers)
    assert len(drawn) == len({searched.space.key(params) for params in drawn}) == NUM_FINITE
    for params in drawn:
        assert ("model.max_distance" in params) is (params["model.positions"] == "relative")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_proposal_is_a_trial_within_the_limit_of_parameters(sampler: str) -> None:
    space: dict[str, Any] = {**INFINITE, "model.encoder_layers": {"min": 1, "max": 6}}
    if sampler == "grid":
        space = {path: domain for path, domain in space.items() if "values" in domain}
    searched = experiment(sampler, space, max_parameters=5_000_000)
    _, drawn = draw(searched, most=12, workers=2)
    assert drawn
    for params in drawn:
        assert (searched.trial.with_values(params).num_parameters or 0) <= 5_000_000
        assert searched.accept(params) == params


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_base_comes_first_where_the_space_contains_it(sampler: str) -> None:
    space = {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"values": [0.2, 0.1]}}
    base: Params = {"model.d_model": 256, "model.dropout": 0.1}  # the defaults
    _, drawn = draw(experiment(sampler, space))
    assert len(drawn) == 6 and (drawn[0] == base) is (sampler != "grid")
    _, without = draw(experiment(sampler, space | {"model.num_heads": {"values": [4, 16]}}), most=4)
    assert base not in without, "8 heads are no value of it"
    small = experiment(sampler, space, max_parameters=MODELS.parameters(experiment(sampler, space).trial) - 1)
    assert base not in draw(small)[1]


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"grid"}))
def test_follows_from_the_seed(sampler: str) -> None:
    runs = [draw(experiment(sampler, INFINITE, seed=seed), most=8)[1] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_goes_on_after_a_resume_as_if_undisturbed(sampler: str, tmp_path: Any) -> None:
    searched = experiment(sampler, FINITE if sampler == "grid" else INFINITE, trials=8)
    _, undisturbed = draw(searched)
    drawn: list[Params] = []
    while True:  # a new plan and a study read again for each trial
        plan, study = SearchPlan(searched), Study(tmp_path / "study.db", "search", "maximize")
        if (proposal := plan.propose(study)) is None:
            break
        drawn.append(proposal.params)
        trial = study.add(proposal.params, plan.distributions, proposal.memory)
        study.report(trial, 1, made_up(trial.params))
        study.finish(trial, Outcome.COMPLETED)
        study.close()
    assert drawn == undisturbed


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_stopped_failed_diverged_and_running_trials_do_not_hinder(sampler: str) -> None:
    def end(study: Study, trial: StudyTrial) -> None:
        match trial.number % 6:
            case 0:
                study.finish(trial, Outcome.FAILED, "it raised")
            case 1:
                study.finish(trial, Outcome.DIVERGED, "nan")
            case 2:
                study.report(trial, 1, made_up(trial.params))
                study.finish(trial, Outcome.STOPPED)
            case 3:
                study.finish(trial, Outcome.INFEASIBLE, "memory is too small for it")
            case 4:  # runs on
                study.report(trial, 1, made_up(trial.params))

    searched = experiment(sampler, FINITE if sampler == "grid" else INFINITE)
    study, drawn = draw(searched, most=24, workers=3, end=end)
    assert len(drawn) == len({searched.space.key(params) for params in drawn}) == 24
    assert {trial.outcome for trial in study.trials.values()} > {"failed", "diverged", "infeasible", "stopped"}


@pytest.mark.parametrize("sampler", LEARNING)
def test_learns_where_scores_are_high(sampler: str) -> None:
    space = {
        "model.dropout": {"min": 0.0, "max": 0.9},
        "training.learning_rate": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"},
    }

    def off(params: Params) -> float:
        rate = np.log10(float(str(params["training.learning_rate"])))
        return abs(float(str(params["model.dropout"])) - 0.3) + abs(float(rate) + 3.5) / 2

    def ten_best(sampler: str) -> float:
        _, drawn = draw(experiment(sampler, space), most=60, score=lambda params: -off(params))
        return float(np.mean(sorted(map(off, drawn))[:10]))

    assert ten_best(sampler) < 0.8 * ten_best("random")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_minimises_where_the_metric_is_a_loss(sampler: str) -> None:
    space = {path: FINITE[path] for path in ("model.d_model", "model.num_heads")}
    searched = experiment(sampler, space, metric="valid_nll_per_char")
    plan, study = SearchPlan(searched), Study(None, "search", "minimize")
    for _ in range(NUM_SHAPES):
        proposal = plan.propose(study)
        assert proposal is not None
        trial = study.add(proposal.params, plan.distributions, proposal.memory)
        study.report(trial, 1, made_up(trial.params))
        study.finish(trial, Outcome.COMPLETED)
    assert plan.propose(study) is None


def test_quasi_random_points_cover_the_space_more_evenly_than_random_ones() -> None:
    space = {"model.dropout": {"min": 0.0, "max": 0.9}, "training.label_smoothing": {"min": 0.0, "max": 0.9}}

    def largest_gap(sampler: str) -> float:
        _, drawn = draw(experiment(sampler, space), most=32, score=lambda params: 0.0)
        return max(np.diff(sorted(float(str(p["model.dropout"])) for p in drawn)))

    assert largest_gap("qmc") < largest_gap("random")


def test_optuna_learns_from_draws_that_were_refused_what_is_too_large() -> None:
    space = {
        "model.d_model": {"values": [64, 128, 256, 512]},
        "model.encoder_layers": {"min": 1, "max": 6},
        "model.decoder_layers": {"min": 1, "max": 6},
        "model.ffn_dim": {"values": [256, 512, 1024, 2048]},
        "model.dropout": {"min": 0.0, "max": 0.3},
    }

    def refused(remember: bool) -> int:
        """Draws in vain over 30 trials; larger models score better here, so that TPE wants what it can't have."""
        searched = experiment("tpe", space, max_parameters=1_500_000)
        plan, study = SearchPlan(searched), Study(None, "search", "maximize")
        total = 0
        for _ in range(30):
            proposal = plan.propose(study)
            assert proposal is not None
            total += len(proposal.memory.get("refused", []))  # the base, which is first, has none
            memory = proposal.memory if remember else {**proposal.memory, "refused": []}
            trial = study.add(proposal.params, plan.distributions, memory)
            study.report(trial, 1, made_up(trial.params))
            study.finish(trial, Outcome.COMPLETED)
        return total

    assert refused(remember=True) < refused(remember=False) / 2
