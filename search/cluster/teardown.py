"""The end of a cluster that `ray up` made, from its own head."""

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from search.experiment import Experiment
from trainables.errors import UserError

BOOTSTRAP = "~/ray_bootstrap_config.yaml"  # `ray up` leaves it on the head


def check_teardown(experiment: Experiment) -> None:
    """Raises UserError where the cluster can't be taken down from here."""
    if experiment.teardown and not Path(BOOTSTRAP).expanduser().is_file():
        raise UserError(
            f"teardown: {BOOTSTRAP} is not here; it lies on the head of a cluster that `ray up` made: search there, or "
            "drop teardown and end the cluster as you started it"
        )


def take_down() -> str | None:
    """End all machines, this one last; where they are one's own, Ray on them. What went wrong, if something did."""
    config = yaml.safe_load(Path(BOOTSTRAP).expanduser().read_text())
    # Ray stops containers first, and this process runs in one; the machines end with or without that.
    for settings in (config, *config["available_node_types"].values()):
        settings.pop("docker", None)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        ray = Path(sys.executable).with_name("ray")
        down = subprocess.run([ray, "down", "--yes", file.name], capture_output=True, text=True)
    return None if down.returncode == 0 else " ".join(down.stderr.split())[-300:]
