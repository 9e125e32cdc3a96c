"""Known trainers, run for real: `make trainers` makes their environment; without it these tests are skipped."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from search.command.check import check_command
from search.settings.experiment import Experiment

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".trainers" / "bin" / "python"
there = pytest.mark.skipif(not PYTHON.exists(), reason="the environment of `make trainers` is missing")
SMALL: dict[str, dict[str, Any]] = {
    "joeynmt": yaml.safe_load((ROOT / "examples" / "joeynmt.yaml").read_text())["command"],
    "huggingface": {
        "kind": "huggingface",
        "train": f"{{python}} {ROOT / 'examples' / 'huggingface_translation.py'} {{config}}",
        "set": {"data": "{data}"},
    },
}
FILES: dict[str, Any] = {
    "joeynmt": str(ROOT / "examples" / "joey.yaml"),
    "huggingface": {"learning_rate": 0.001, "per_device_train_batch_size": 16, "d_model": 32, "report_to": "none"}
    | {"use_cpu": True, "disable_tqdm": True, "logging_steps": 5},
}


@there
@pytest.mark.parametrize(("kind", "exact"), [("joeynmt", False), ("huggingface", True)])
def test_a_known_trainer_trains_pauses_continues_and_translates(kind: str, exact: bool, tmp_path: Path) -> None:
    command = SMALL[kind] | {"python": str(PYTHON), "round": 10, "timeout_seconds": 200}
    experiment = Experiment.model_validate(
        {
            "problem": "command",
            "command": command,
            "trainer": FILES[kind],
            "data": {"limit": 300},
            "output_dir": str(tmp_path),
        }
    )
    said: list[str] = []
    found = check_command(experiment, said.append)
    assert found.exact is exact and found.first, said
    assert found.straight.step == 20 and {*experiment.search.metrics} <= found.straight.figures.keys()
    assert found.translations[1] == "" and len(found.translations) == 3
