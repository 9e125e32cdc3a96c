"""Finals of a user's own problem: a model has a score on each item of the test data, and their mean is its score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from search.finals.board import DataSize, Leaderboard
from search.finals.leaderboard import Entry
from search.finals.remotely import Remotely
from search.finals.results import keep_result, kept_result
from search.finals.stages import FinalModel, Statistics, TestMetric
from search.settings.experiment import Experiment
from search.settings.problem import find_problem, place_of
from search.settings.searching import SearchConfig
from trainables.base.checkpoint_files import STATE, last_checkpoints
from trainables.base.errors import UserError
from trainables.base.files import digest_of, publish_folder, remove
from trainables.base.metrics import Metric
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.test_opening import open_test
from trainables.base.yaml_files import dump_yaml, read_yaml
from trainables.own import EpochTraining
from trainables.scoring.metrics import mean_of_sums
from trainables.training.checkpoint import load_state
from trainables.training.device import default_device
from trainables.worker import find_trained

DIGESTS = "digests.json"  # of the other files in best/


@dataclass(frozen=True)
class ItemScores:
    """One trained model on the test data."""

    seed: int
    scores: list[float]  # of each item
    num_parameters: int | None

    @property
    def score(self) -> float:
        return float(np.mean(self.scores))


def choose_best(models: Sequence[FinalModel], search: SearchConfig) -> FinalModel:
    """The best model by the search's metric in its last report, never by the test data."""
    return max(models, key=lambda model: search.compared_by.worth(model.valid[search.metric]))


class ItemFinals:
    """See `search.finals.protocol.Finals`. The training must be an `EpochTraining` whose trainers have `test`."""

    def __init__(
        self,
        name: str,
        metric: Metric,
        items: str = "examples",
        bounds: tuple[float, float] = (-np.inf, np.inf),
    ):
        """Describe the score of finalists.

        Args:
            name: What the score is called in files, such as "test_accuracy".
            metric: The score, a mean over items, with its direction.
            items: What the test data consist of, such as "images".
            bounds: The lowest and highest possible score.
        """
        short = name.removeprefix("test_").replace("_", " ")
        self.metric = TestMetric(name, metric, short, items, mean_of_sums, bounds)

    def metrics(self, experiment: Experiment) -> list[TestMetric]:
        return [self.metric]

    def check(self, experiment: Experiment) -> None:
        """Do nothing."""

    def open(self, experiment: Experiment, why: str) -> None:
        open_test(experiment.run_dir, why)

    def test(
        self, models: list[FinalModel], test: None, experiment: Experiment, gpus: float, console: Console
    ) -> list[ItemScores]:
        found = [_known(model) for model in models]
        # Plain values, as the process that gets them can't import the configuration class yet.
        asked = {
            index: ({**vars(model), "config": model.config.model_dump(mode="json")}, experiment.cache, Path.cwd())
            for index, model in enumerate(models)
            if found[index] is None
        }
        with console.status("testing the finalists"):
            for index, scores in Remotely(gpus).call(score_items, asked):
                keep_result(models[index], "test.json", {"scores": scores})
                found[index] = _known(models[index])
        results = [result for result in found if result]
        if len({len(result.scores) for result in results}) > 1:
            counts = ", ".join(f"{len(result.scores):,}" for result in results)
            raise UserError(f"problem: test gives scores of {counts} items; all models must be tested on the same")
        return results

    def statistics(self, metric: TestMetric, entry: Entry, test: None, experiment: Experiment) -> list[Statistics]:
        return [(np.stack([np.array(result.scores), np.ones(len(result.scores))], axis=1),) for result in entry.results]

    def figures(self, entry: Entry, experiment: Experiment) -> dict[str, float | None]:
        metrics = find_problem(entry.models[0].problem).metrics
        return {name: entry.valid(name) for name in metrics}

    def data(self, experiment: Experiment, test: None) -> DataSize | None:
        return None

    def signatures(self, experiment: Experiment) -> dict[str, str]:
        return {}

    def is_untrained(self, entry: Entry, experiment: Experiment) -> bool:
        return False

    def keep_best(self, entry: Entry, experiment: Experiment) -> None:
        """The model of the seed that was best by the search's metric: its configuration and its state."""
        model = choose_best(entry.models, experiment.search)
        draft = experiment.run_dir / ".best"
        remove(draft)
        draft.mkdir()
        with model.checkpoints(experiment.cache) as folder:
            (draft / STATE).write_bytes((last_checkpoints(folder, 1)[0] / STATE).read_bytes())
        (draft / "config.yaml").write_text(dump_yaml(model.config), encoding="utf-8")
        write_sealed(draft / DIGESTS, {file.name: digest_of(file) for file in sorted(draft.iterdir())})
        publish_folder(draft, experiment.run_dir / "best")

    def read_best(self, experiment: Experiment) -> Any:
        """The trainer of the best model, in its state after the last epoch."""
        folder = experiment.run_dir / "best"
        if not folder.is_dir():
            raise UserError(f"{experiment.run_dir}: holds no best/, as a search leaves at its end; resume it")
        for name, digest in read_sealed(folder / DIGESTS).items():
            if not (folder / name).is_file() or digest_of(folder / name) != digest:
                raise Damaged(f"{folder / name}: is missing or was changed; resume writes it again")
        config = experiment.definition.config.model_validate(read_yaml(folder / "config.yaml"))
        training: EpochTraining = experiment.definition.part("training")
        return training.load(config, load_state(folder, default_device()))

    def describe_data(self, board: Leaderboard) -> str:
        return ""

    def sections(self, entries: list[Entry], test: None, board: Leaderboard, experiment: Experiment) -> str:
        return ""


def score_items(values: dict[str, Any], cache: Path, home: Path) -> list[float]:
    """The scores of a FinalModel with these values on each item of the test data. Raises UserError."""
    torch.set_num_threads(1)
    problem = find_trained(place_of(values["problem"]), home)
    model = FinalModel(**{**values, "config": problem.config.model_validate(values["config"])})
    training: EpochTraining = problem.part("training")
    with model.checkpoints(model.bring(cache)) as folder:
        trainer = training.load(model.config, load_state(last_checkpoints(folder, 1)[0], default_device()))
    try:
        scores = [float(score) for score in trainer.test()]
    except Exception as error:
        raise UserError(f"problem: test failed: {type(error).__name__}: {error}; fix it, then resume") from None
    if not scores or not np.isfinite(scores).all():
        raise UserError("problem: test must give a finite number for each item; fix it, then resume")
    return scores


def _known(model: FinalModel) -> ItemScores | None:
    """The stored result of a model; None if it is missing or damaged."""
    try:
        scores = kept_result(model, "test.json")["scores"]
        return ItemScores(model.config.seed, scores, model.config.num_parameters)
    except (Damaged, TypeError, KeyError):
        return None
