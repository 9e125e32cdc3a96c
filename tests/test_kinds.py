"""Kinds as tables: how a configuration names one, what a kind of the user's needs, and what its own code may do."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_work import open_work, simulate

from search.commands.resume import resumed_experiment
from search.engine.proposals import SearchPlan, make_scheduler
from search.record.study import Study
from search.run_directory.trust import followed
from search.samplers import SAMPLERS
from search.schedulers import SCHEDULERS
from search.settings.experiment import Experiment, experiment_class
from search.settings.stored import stored_experiment, write_experiment
from search.translation.problem import TRANSLATION
from trainables.base.command_line import override, parse_config, parse_options
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.mistakes import validate
from trainables.base.yaml_files import dump_yaml

SPACE = {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"min": 0.0, "max": 0.5}}
RULES = '''
from dataclasses import dataclass
from search.samplers import Proposal

@dataclass(frozen=True)
class Floor:
    """Stops what is below a floor."""
    rungs: tuple[int, ...]
    floor: float = 10.0

    def decide(self, study, trial):
        at_rung = trial.progress in self.rungs
        return "stop" if at_rung and study.merit(trial, trial.progress) < self.floor else "go"

    def promote(self, study, live):
        return None

class Corners:
    """Proposes widths from a list, each with the least dropout."""
    def __init__(self, task, widths=(64, 256)):
        self.task, self.widths = task, widths

    def propose(self, study):
        for width in self.widths:
            params = {"model.d_model": width, "model.dropout": self.task.space.domains["model.dropout"].min}
            if self.task.space.key(params) not in study.known:
                return Proposal(params)
        return None

number = 3
class Half:
    def __init__(self, rungs):
        self.rungs = rungs
'''


def parse(*options: str, text: str | None = None, folder: Path | None = None) -> Experiment:
    file = Path()
    if text is not None:
        assert folder is not None
        file = folder / "x.yaml"
        file.write_text(text)
    return parse_config(experiment_class("translation"), list(options), Program("x", ""), file)[0]


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's in the working directory."""
    (tmp_path / "my_rules.py").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_rules", raising=False)


# -- how a configuration names a kind


ASHA_4 = {"kind": "asha", "rungs": None, "reduction_factor": 4}
FLAT = "search: {scheduler: asha, reduction_factor: 4, rungs: [1, 2], startup_trials: 4, prior: [runs/other]}"
PROMOTION_4 = {**ASHA_4, "kind": "asha_promotion", "chance": 0.2}


@pytest.mark.parametrize(
    ("text", "options", "meant"),
    [
        ("{scheduler: asha}", [], {**ASHA_4, "reduction_factor": 3}),
        ("{scheduler: {kind: asha, reduction_factor: 4}}", [], ASHA_4),
        ("{scheduler: {reduction_factor: 4}}", [], PROMOTION_4),
        ("{}", ["--search.scheduler", "asha", "--search.scheduler.reduction_factor=4"], ASHA_4),
        ("{}", ["--search.scheduler.kind=asha", "--search.scheduler.reduction_factor", "4"], ASHA_4),
        ("{scheduler: asha}", ["--search.scheduler.reduction_factor", "4"], ASHA_4),
        ("{scheduler: gentle}", ["--search.scheduler", '{"kind": "asha", "reduction_factor": 4}'], ASHA_4),
        ("{scheduler: {kind: asha, reduction_factor: 4}}", ["--search.scheduler", "asha"], ASHA_4),
        ("{scheduler: {kind: asha, reduction_factor: 4}}", ["--search.scheduler=none"], {"kind": "none"}),
        ("{scheduler: {kind: gentle, rungs: [1]}}", ["--search.scheduler", "asha"], {**ASHA_4, "reduction_factor": 3}),
        ("{scheduler: {reduction_factor: 4}}", ["--search.scheduler=asha_promotion"], PROMOTION_4),
    ],
)
def test_a_word_a_mapping_and_options_say_the_same(
    text: str, options: list[str], meant: dict[str, Any], tmp_path: Path
) -> None:
    experiment = parse(*options, text=f"search: {text}", folder=tmp_path)
    assert experiment.search.scheduler.model_dump() == meant
    assert validate(Experiment, yaml.safe_load(dump_yaml(experiment)), "f") == experiment
    flat = {"search.scheduler": meant["kind"], **{f"search.scheduler.{key}": value for key, value in meant.items()}}
    assert Experiment.load(tmp_path / "x.yaml", **flat).search.scheduler == experiment.search.scheduler


@pytest.mark.parametrize("options", [["--search.reduction_factor", "4"], ["--search.scheduler.reduction_factor=4"]])
def test_a_resume_changes_a_setting_and_another_kind_begins_with_its_defaults(options: list[str]) -> None:
    stored = Experiment.model_validate({"search": {"scheduler": {"kind": "asha", "rungs": [1]}}})
    changed, given = override(stored, parse_options(Experiment, options, Program("x", "")), Path("f"))
    assert changed.search.scheduler == SCHEDULERS.read({**ASHA_4, "rungs": [1]})
    assert given == {"search.scheduler.reduction_factor"}
    other, _ = override(changed, {"search": {"scheduler": "hyperband"}}, Path("f"))
    assert other.search.scheduler == SCHEDULERS.read("hyperband")


def test_keys_of_before_work_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = parse(text=FLAT, folder=tmp_path)
    assert flat.search.scheduler == SCHEDULERS.read({**ASHA_4, "rungs": [1, 2]})
    assert flat.search.sampler == SAMPLERS.read({"startup_trials": 4, "prior": ["runs/other"]})
    said = capsys.readouterr().err
    names = {"rungs": "scheduler", "reduction_factor": "scheduler", "startup_trials": "sampler", "prior": "sampler"}
    for name, kind in names.items():
        assert said.count(f"search.{name} is called search.{kind}.{name} now") == 1
    with pytest.raises(UserError, match=r"search.scheduler.rungs: no setting of none"):
        parse(text="search: {scheduler: none, rungs: [1]}", folder=tmp_path)


def test_a_run_of_before_has_the_settings_that_meant_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All keys stood beside all kinds."""
    meanings: dict[str, dict[str, Any]] = {"asha": {"rungs": (1,), "reduction_factor": 4}, "median": {"rungs": (1,)}}
    for kind, meant in {**meanings, "none": {}}.items():
        write_experiment(tmp_path / "experiment.yaml", Experiment.model_validate({"name": tmp_path.name}))
        tree = yaml.safe_load((tmp_path / "experiment.yaml").read_text())
        tree["search"] |= {"scheduler": kind, "rungs": [1], "reduction_factor": 4, "sampler": "tpe"}
        tree["search"] |= {"startup_trials": 5, "prior": []}
        (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(tree))
        search = stored_experiment(tmp_path).search
        assert search.scheduler.model_dump() == {"kind": kind, **meant}
        assert search.sampler == SAMPLERS.read({"kind": "tpe", "startup_trials": 5})
        assert not capsys.readouterr().err, "the user has not written it"


# -- kinds of the user's


def test_a_scheduler_of_the_users_searches(rules: None, tmp_path: Path) -> None:
    settings = {"kind": "my_rules:Floor", "rungs": [1, 2], "floor": 5.0}
    experiment = Experiment.model_validate(
        {"space": SPACE, "training": {"epochs": 4}, "search": {"scheduler": settings, "trials": 6}}
    )
    assert "my_rules" not in sys.modules, "a configuration runs no code"
    experiment.search.scheduler.need("search.scheduler")
    (tmp_path / "run").mkdir()
    work = open_work(tmp_path / "run", experiment)
    simulate(work, {})
    outcomes = {trial.outcome for trial in work.study.trials.values()}
    assert outcomes == {"completed", "stopped"}
    for trial in work.study.trials.values():
        assert (trial.outcome == "stopped") == (min(trial.scores[r] for r in (1, 2) if r in trial.scores) < 5.0)


def test_a_sampler_of_the_users_proposes(rules: None) -> None:
    settings = {"kind": "my_rules:Corners", "widths": [64, 128]}
    experiment = Experiment.model_validate({"space": SPACE, "search": {"sampler": settings}})
    plan, study = SearchPlan(experiment), Study(None, "search", "maximize")
    proposed = []
    while (proposal := plan.propose(study)) is not None:
        proposed.append(proposal.params)
        study.add(proposal.params, plan.distributions)
    base = {"model.d_model": 256, "model.dropout": 0.1}  # is tried first
    assert proposed == [base, *({"model.d_model": width, "model.dropout": 0.0} for width in (64, 128))]
    for kind, message in (("Half", "raised TypeError|needs propose"), ("number", "is not a function or class")):
        wrong = experiment.with_values({"search.sampler": f"my_rules:{kind}"})
        with pytest.raises(UserError, match=f"search.sampler: my_rules:{kind} ({message})"):
            SearchPlan(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "my_rules:Floor", "flor": 1.0}, "search.scheduler: my_rules:Floor raised TypeError: .*flor"),
        ({"kind": "my_rules:Ceiling"}, "search.scheduler: my_rules:Ceiling can't be imported: AttributeError"),
        ({"kind": "no_rules:Floor"}, "search.scheduler: no_rules:Floor can't be imported: ModuleNotFoundError"),
        ({"kind": "my_rules:number"}, "search.scheduler: my_rules:number is not a function or class"),
        ({"kind": "my_rules:Half"}, "my_rules:Half needs rungs, decide and promote; see search/schedulers/base.py"),
    ],
)
def test_what_a_kind_of_the_users_lacks_is_told(settings: dict[str, Any], message: str, rules: None) -> None:
    experiment = Experiment.model_validate({"search": {"scheduler": settings}})
    with pytest.raises(UserError, match=message):
        make_scheduler(experiment)


def test_code_that_a_run_of_somebody_else_names_needs_trust(rules: None, tmp_path: Path) -> None:
    for value in ("asha", "my_rules:Floor"):
        experiment = Experiment.model_validate({"name": "run", "search": {"scheduler": value}})
        assert followed(experiment) == ({"search.scheduler.kind": value} if ":" in value else {})
    (tmp_path / "run").mkdir()
    write_experiment(tmp_path / "run" / "experiment.yaml", experiment)
    with pytest.raises(UserError, match=r"search.scheduler.kind: my_rules:Floor  \(is imported and called\)"):
        resumed_experiment([str(tmp_path / "run")], "resume")
    for options in (["--trust"], ["--search.scheduler", "asha"]):
        resumed_experiment([str(tmp_path / "run"), *options], "resume")
    assert "my_rules" not in sys.modules


# -- metrics


def test_a_metric_is_a_number_of_each_report() -> None:
    for name, metric in TRANSLATION.metrics.items():
        assert metric.instead is None or metric.instead in TRANSLATION.metrics
        assert Experiment.model_validate({"search": {"metric": name}}).search.direction == metric.direction
