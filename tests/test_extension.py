"""A search that is extended or changed: what is kept, what is taken over, what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from pydantic import BaseModel
from reports import line_of, make_report
from test_work import Killed, open_work, score, simulate

from search.engine.proposals import express
from search.record.budget import Spent
from search.record.journal import Journal, read_lines
from search.record.study import Study
from search.run_directory.changes import Change, find_change
from search.run_directory.earlier import Earlier
from search.schedulers import SCHEDULERS
from search.settings.experiment import Experiment
from search.settings.stored import LATER, stored_experiment
from search.space.space import SearchSpace
from trainables.assignment import Assignment
from trainables.base.config import flatten
from trainables.base.errors import UserError
from trainables.base.metric_config import Metrics
from trainables.base.outcomes import Outcome
from trainables.base.sealing import read_sealed, write_sealed
from trainables.base.yaml_files import dump_yaml

SPACE = {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"min": 0.0, "max": 0.5}}
AnyConfig = TypeVar("AnyConfig", bound=BaseModel)
NARROW = {"model.d_model": {"values": [64, 128, 512]}, "model.dropout": {"min": 0.1, "max": 0.9}}


def experiment_in(folder: Path, **changes: Any) -> Experiment:
    experiment = Experiment.model_validate(
        {
            "name": folder.name,
            "output_dir": str(folder.parent),
            "space": SPACE,
            "search": {"trials": 6, "scheduler": "asha"},
            "training": {"epochs": 4},
        }
    )
    return experiment.with_values({key.replace("__", "."): value for key, value in changes.items()})


def searched(folder: Path) -> Experiment:
    """A run directory with a search that has ended, checkpoints of its first trials, and finals."""
    experiment = experiment_in(folder)
    work = open_work(folder, experiment)
    simulate(work, {})
    (folder / "experiment.yaml").write_text(dump_yaml(experiment))
    for number in (0, 1):
        checkpoint = folder / "trials" / str(number) / "epoch-4"
        checkpoint.mkdir(parents=True)
        (checkpoint / "state.pt").write_text(f"weights of {number}")
        (checkpoint.parent / "test.json").write_text("{}")
    finals = Study(folder / "study.db", "finals", "maximize")
    finals.set_wall_seconds(50)
    finals.close()
    journal = Journal(folder / "finals.jsonl")
    journal.append(line_of(0, 4, train_seconds=7.0, eval_seconds=1.0))
    journal.close()
    (folder / "finalists.json").write_text(json.dumps({"frozen_at": "2026-01-01"}))
    for name in ("finals", "best"):
        (folder / name / "inside").mkdir(parents=True)
    for name in ("leaderboard.json", "leaderboard.csv", "report.html"):
        (folder / name).write_text(name)
    return experiment


def tree(folder: Path) -> list[str]:
    """All paths but what sqlite may leave."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.name.endswith(("-wal", "-shm")))


@pytest.mark.parametrize(
    ("changes", "meaning"),
    [
        ({}, Change.NOTHING),
        ({"tracking__project": "other", "search__concurrency": 3, "search__max_retries": 0}, Change.NOTHING),
        ({"search__trials": 9}, Change.GOES_ON),
        ({"search__budget": {"epochs": 90}}, Change.GOES_ON),
        ({"finals__top": 2}, Change.GOES_ON),
        ({"space": NARROW}, Change.NEW_STUDY),
        ({"model__dropout": 0.2}, Change.NEW_STUDY),
        ({"training__clip_norm": 2, "search__trials": 9}, Change.NEW_STUDY),
    ],
)
def test_what_a_changed_key_means(changes: dict[str, Any], meaning: Change, tmp_path: Path) -> None:
    assert find_change(experiment_in(tmp_path), experiment_in(tmp_path, **changes)) is meaning


# What it means to change a key when a search is resumed; a new key fails the test until it is listed here.
REFUSED, NOTHING, GOES_ON, NEW_STUDY = UserError, Change.NOTHING, Change.GOES_ON, Change.NEW_STUDY
RESUMED: dict[str, dict[Any, str]] = {
    "": {REFUSED: "name output_dir storage problem", NOTHING: "cluster teardown", NEW_STUDY: "seed"},
    "metrics.mine": {GOES_ON: "kind direction"},
    "metrics.compared": {REFUSED: "kind direction"},
    "data": {
        REFUSED: "path source target source_language target_language bleu_tokenize train valid test columns limit "
        "max_tokens overlong more",
        NOTHING: "doubts",
    },
    "data.split": {REFUSED: "valid test seed"},
    "data.filters": {REFUSED: "min_length max_length max_ratio copies garbled markup language deduplicate"},
    "tokenizer": {
        REFUSED: "taken_from",
        NEW_STUDY: "kind vocab_size shared normalization character_coverage sample_lines byte_fallback",
    },
    "model": {
        REFUSED: "init_from",
        NEW_STUDY: "encoder_layers decoder_layers d_model num_heads num_kv_heads ffn_dim dropout attention_dropout "
        "activation_dropout norm norm_type activation positions max_length max_distance tied_embeddings "
        "layer_drop base_width",
    },
    "training": {
        REFUSED: "epochs report_steps report_tokens precision valid_pairs valid_difference valid_metrics freeze",
        NEW_STUDY: "batch_tokens batch_sentences batch_shapes learning_rate warmup_steps schedule label_smoothing "
        "clip_norm forward_tokens bpe_dropout final_rate beta1 beta2 epsilon weight_decay ema_decay "
        "patience",
    },
    "space.model.d_model": {NEW_STUDY: "values min max distribution q probabilities", GOES_ON: "belief"},
    "search": {
        REFUSED: "metric deterministic",
        GOES_ON: "goal goals trials first where stop_when_settled max_parameters exportable seed",
        NOTHING: "max_retries concurrency gpus_per_trial watchdog_seconds",
    },
    "search.speed": {GOES_ON: "engine quantization device threads batch beam lines"},
    "search.sampler": {GOES_ON: "kind startup_trials prior per_second"},
    "search.scheduler": {GOES_ON: "kind rungs reduction_factor"},
    "search.budget": {GOES_ON: "epochs gpu_hours dollars price_per_gpu_hour wall_hours"},
    "finals": {
        GOES_ON: "top min_distance seeds most_seeds margin average_checkpoints beam_size length_penalty rank_by "
        "rank_tests neural_metric",
        NOTHING: "export",
    },
    "tracking": {NOTHING: "wandb project entity base_url tags notes flush_seconds tensorboard"},
}
MEANINGS = {
    f"{part}.{name}".lstrip("."): meaning
    for part, meanings in RESUMED.items()
    for meaning, names in meanings.items()
    for name in names.split()
}


def altered(config: AnyConfig, key: str) -> AnyConfig:
    """The configuration with another value of one key, which need not make sense."""
    if isinstance(config, SearchSpace):
        path = next(path for path in config.domains if key.startswith(f"{path}."))
        domain = altered(config.domains[path], key.removeprefix(f"{path}."))
        return config.model_copy(update={"root": {**config.domains, path: domain}})
    head, _, rest = key.partition(".")
    if isinstance(config, Metrics):
        return config.model_copy(update={"root": {**config.root, head: altered(config[head], rest)}})
    value = getattr(config, head)
    if rest:
        return config.model_copy(update={head: altered(value, rest)})
    match value:
        case bool():
            other: Any = not value
        case int() | float():
            other = value + 1
        case tuple():
            other = (*value, "one more")
        case _:
            other = f"not {value}"
    return config.model_copy(update={head: other})


def meaning(stored: Experiment, key: str) -> Any:
    try:
        return find_change(stored, altered(stored, key))
    except UserError as error:
        assert key in str(error), "the reason names the key"
        return UserError


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_every_key_of_the_configuration_has_its_meaning_when_a_search_is_resumed(tmp_path: Path) -> None:
    stored = experiment_in(
        tmp_path,
        space={"model.d_model": {"values": [64, 128]}},
        metrics={"mine": "my:metric", "compared": "my:other"},
        training__valid_metrics=["compared"],
    )
    keys = flatten(stored.model_dump())
    assert {key: meaning(stored, key) for key in keys} == MEANINGS
    pbt = stored.model_copy(update={"search": stored.search.model_copy(update={"scheduler": SCHEDULERS.read("pbt")})})
    for key in flatten(pbt.model_dump()):
        kept = MEANINGS[key] is NOTHING or key.startswith(("finals.", "metrics.mine."))
        assert meaning(pbt, key) is (MEANINGS[key] if kept else UserError), key
    fixed = stored.model_copy(update={"search": stored.search.model_copy(update={"deterministic": True})})
    for key in keys:
        assert meaning(fixed, key) is (UserError if key == "search.concurrency" else MEANINGS[key]), key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__limit": 10}, "data.limit decides what is compared, so it can't change from None to 10"),
        ({"training__epochs": 5}, "training.epochs decides what is compared, so it can't change from 4 to 5"),
        ({"search__metric": "valid_nll_per_char"}, "search.metric decides what is compared"),
        ({"finals__seeds": 0}, "finals.seeds: 0 scores the models of the search, but their checkpoints were not kept"),
        ({"search__scheduler": "pbt", "space": {}}, "can't change, as pbt trains a population as a whole"),
        ({"name": "other"}, "name, output_dir and storage belong to the run"),
    ],
)
def test_what_can_not_change_is_refused_with_the_reason(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        find_change(experiment_in(tmp_path), experiment_in(tmp_path, **changes))
    assert message in str(told.value)


def test_a_run_of_an_earlier_version_has_the_defaults_of_what_it_lacks_and_a_gutted_one_is_refused(
    tmp_path: Path,
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    experiment = experiment_in(run_dir)
    stored = {key: value for key, value in experiment.model_dump(mode="json").items() if key not in LATER}
    del stored["search"]["gpus_per_trial"], stored["finals"]["average_checkpoints"], stored["training"]["report_steps"]
    (run_dir / "experiment.yaml").write_text(yaml.safe_dump(stored))
    assert stored_experiment(run_dir) == experiment
    del stored["space"]
    (run_dir / "experiment.yaml").write_text(yaml.safe_dump(stored))
    with pytest.raises(UserError, match=r"is not as the search wrote it: space missing; restore the file"):
        stored_experiment(run_dir)


def test_a_run_whose_storage_was_moved_goes_on_as_the_same(tmp_path: Path) -> None:
    searched(tmp_path / "run")
    moved = stored_experiment(tmp_path / "run", "s3://other/runs/run")
    assert moved.storage == "s3://other/runs"
    assert Earlier(tmp_path / "run").extend(moved) == []
    assert stored_experiment(tmp_path / "run") == moved


def test_a_finished_search_that_goes_on_keeps_its_finals_apart(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    searched(run_dir)
    before = (run_dir / "trials.jsonl").read_text()
    (message,) = Earlier(run_dir).extend(experiment_in(run_dir, search__trials=8))
    assert str(run_dir / "earlier" / "1") in message
    earlier = Earlier(run_dir)
    assert (run_dir / "trials.jsonl").read_text() == before and (run_dir / "trials" / "0" / "epoch-4").exists()
    for name in ("finalists.json", "finals.jsonl", "finals", "leaderboard.json", "leaderboard.csv", "best"):
        assert not (run_dir / name).exists() and (run_dir / "earlier" / "1" / name).exists()
    assert not list(run_dir.glob("trials/*/test.json")), "a model of the search is scored again"
    assert earlier.finals_name == "finals-2" and earlier.studies == 0
    assert earlier.test_opened() == ["2026-01-01"]
    spent = earlier.spent()
    assert (spent.epochs, spent.device_seconds, spent.wall_seconds) == (4, 8, 50)
    assert earlier.extend(experiment_in(run_dir, search__trials=8)) == [], "once"

    work = open_work(run_dir, experiment_in(run_dir, search__trials=8))
    simulate(work, {})
    at_once = open_work(tmp_path / "at_once", experiment_in(tmp_path / "at_once", search__trials=8))
    simulate(at_once, {})
    assert len(work.study.trials) == 8
    assert [t.scores for t in work.study.trials.values()] == [t.scores for t in at_once.study.trials.values()]


def test_of_many_extensions_the_last_is_the_newest(tmp_path: Path) -> None:
    """Beyond nine, where numbers sort otherwise as text."""
    for number in range(1, 12):
        folder = tmp_path / "earlier" / str(number)
        folder.mkdir(parents=True)
        spent = {"epochs": 1.0, "device_seconds": 10.0, "wall_seconds": 100.0}
        write_sealed(folder / "record.json", {"moved_at": "", "study": number == 11, "finals_spent": spent})
        write_sealed(folder / "finalists.json", {"frozen_at": f"day {number}"})
    earlier = Earlier(tmp_path)
    assert [folder.name for folder in earlier.folders] == [str(number) for number in range(1, 12)]
    assert earlier.test_opened() == [f"day {number}" for number in range(1, 12)]
    assert earlier.waiting == tmp_path / "earlier" / "11", "the last alone may wait to be taken over"
    assert (earlier.finals_name, earlier.studies) == ("finals-12", 1)
    write_sealed(tmp_path / "earlier" / "11" / "record.json", {"study": False, "finals_spent": spent})
    assert Earlier(tmp_path).waiting is None
    assert Earlier(tmp_path).spent() == Spent(11, 110, 1100)


def test_only_what_the_space_and_base_can_make_fits(tmp_path: Path) -> None:
    old = experiment_in(tmp_path)

    def fits(params: dict[str, Any], **changes: Any) -> Any:
        return express(old.trial.with_values(params), experiment_in(tmp_path, **changes))

    params = {"model.d_model": 128, "model.dropout": 0.25}
    assert fits(params) == params
    assert fits(params, space=NARROW) == params
    assert fits({**params, "model.d_model": 256}, space=NARROW) is None
    assert fits({**params, "model.dropout": 0.0}, space=NARROW) is None
    only_width = {"model.d_model": {"values": [64, 128]}}
    assert fits(params, space=only_width) is None, "the base has another dropout"
    assert fits(params, space=only_width, model__dropout=0.25) == {"model.d_model": 128}
    more = {**SPACE, "model.encoder_layers": {"values": [1, 2]}}
    assert fits(params, space=more) == {**params, "model.encoder_layers": 2}, "from the old base"
    assert fits(params, model__encoder_layers=3) is None
    assert fits(params, seed=2) is None
    ints = {**SPACE, "model.dropout": {"values": [0, 1e-1]}}
    assert fits({**params, "model.dropout": 0.0}, space=ints) == {**params, "model.dropout": 0}


def check_taken_over(run_dir: Path, old: Experiment, new: Experiment) -> None:
    archive = run_dir / "earlier" / "1"
    before = Study(archive / "study.db", "search", "maximize").trials
    after = Study(run_dir / "study.db", "search", "maximize")
    fitting = [t for t in before.values() if express(old.trial.with_values(t.params), new)]
    assert 0 < len(fitting) < len(before), "a test of both"
    assert read_sealed(archive / "taken.json") == {str(t.number): i for i, t in enumerate(fitting)}
    for was, now in zip(fitting, after.trials.values(), strict=True):
        assert (was.params, was.scores, was.state) == (now.params, now.scores, now.state)
        kept = [replace(trial.attributes, taken_from=None, memory={}, seal=None) for trial in (was, now)]
        assert kept[0] == kept[1] and now.is_sealed
        assert now.attributes.taken_from == f"earlier/1, trial {was.number}"
        checkpoint = Path("trials", str(was.number), "epoch-4", "state.pt")
        taken = run_dir / "trials" / str(now.number) / "epoch-4" / "state.pt"
        assert (archive / checkpoint).exists() == taken.exists()
        assert not taken.exists() or taken.read_text() == f"weights of {was.number}"
    assert not list(run_dir.glob("trials/*/test.json")) and list(archive.glob("trials/*/test.json"))
    lines = [
        (line.trial, line.report.epoch, line.report.score("valid_bleu"))
        for line in read_lines(run_dir / "trials.jsonl")
    ]
    assert sorted(lines) == sorted((t.number, e, s) for t in after.trials.values() for e, s in t.scores.items())
    earlier = Earlier(run_dir)
    left = sum(t.progress for t in before.values() if t not in fitting)
    spent = earlier.spent()
    assert spent.epochs == 4 + left and earlier.studies == 1, "finals, and what was not taken over"
    assert (spent.device_seconds, spent.wall_seconds) == (8 + 3 * left, 50), "the new study counts its time on"
    assert after.wall_seconds == Study(archive / "study.db", "search", "maximize").wall_seconds
    after.close()


@pytest.mark.parametrize("moment", [None, *range(1, 30, 3)])
def test_a_changed_space_takes_over_the_trials_that_fit_killed_anywhere(
    moment: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "run"
    old = searched(run_dir)
    new = experiment_in(run_dir, space=NARROW, search__trials=7)
    count = [0]

    def deadly(action: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == moment:
                raise Killed
            return action(*arguments, **options)

        return call

    if moment is not None:
        with monkeypatch.context() as patch:
            for owner, names in ((Path, ("rename", "replace")), (Study, ("add", "report", "set_attributes", "finish"))):
                for name in names:
                    patch.setattr(owner, name, deadly(getattr(owner, name)))
            patch.setattr(Journal, "append", deadly(Journal.append))
            with pytest.raises(Killed):
                Earlier(run_dir).extend(new)
    Earlier(run_dir).extend(new)
    check_taken_over(run_dir, old, new)
    assert not (run_dir / "earlier" / "moving").exists() and len(Earlier(run_dir).folders) == 1
    work = open_work(run_dir, new)
    simulate(work, {})
    assert len(work.study.trials) == 7 and not any(t.running for t in work.study.trials.values())
    assert len({repr(t.params) for t in work.study.trials.values()}) == 7, "what was taken over is not tried again"


def test_a_running_trial_is_taken_over_and_goes_on(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    work = open_work(run_dir, experiment_in(run_dir))
    (run_dir / "experiment.yaml").write_text(dump_yaml(experiment_in(run_dir)))
    task = work.next(1)
    assert isinstance(task, Assignment)
    trial = work.study.trials[task.number]
    for epoch in (1, 2):  # a rung is passed
        assert work.reported(task.number, make_report(epoch, score(trial, epoch)))
    wide = {**SPACE, "model.encoder_layers": {"values": [2, 3]}}
    _, message = Earlier(run_dir).extend(experiment_in(run_dir, space=wide))
    assert message.startswith("1 of 1 trials fit")
    work = open_work(run_dir, experiment_in(run_dir, space=wide))
    assert work.study.trials[0].running and work.study.trials[0].passed(2)
    simulate(work, {0: 2})
    assert len(work.study.trials) == 6 and list(work.study.trials[0].scores)[:3] == [1, 2, 3]


def test_a_grid_finds_its_place_after_a_change(tmp_path: Path) -> None:
    def grid(values: list[int]) -> Experiment:
        space = {"model.encoder_layers": {"values": values}}
        return experiment_in(run_dir, space=space, search={"sampler": "grid", "trials": None, "scheduler": "none"})

    run_dir = tmp_path / "run"
    work = open_work(run_dir, grid([3, 1]))
    (run_dir / "experiment.yaml").write_text(dump_yaml(grid([3, 1])))
    for trial in (work.next(9), work.next(9)):
        assert isinstance(trial, Assignment)
        work.ended(trial.number, Outcome.FAILED, "")
    Earlier(run_dir).extend(grid([1, 2, 3, 4]))
    work = open_work(run_dir, grid([1, 2, 3, 4]))
    while isinstance(task := work.next(9), Assignment):
        work.ended(task.number, Outcome.FAILED, "")
    assert [t.params["model.encoder_layers"] for t in work.study.trials.values()] == [3, 1, 2, 4]


@pytest.mark.parametrize("name", ["which is best?", "100%25", "{SCHEMA_VERSION}", "a#b&c=d"])
def test_a_study_lies_where_its_run_does_whatever_the_path(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    Study(tmp_path / name / "study.db", "search", "maximize").add({}, {})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(Study(tmp_path / name / "study.db", "search", "maximize").trials) == 1
