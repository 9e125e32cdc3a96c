"""Ends a cluster that `ray up` made, from its own head."""

import subprocess
import sys
from pathlib import Path

import yaml

from search.settings.experiment import Experiment
from trainables.base.errors import UserError
from trainables.base.temporary import temporary_folder

BOOTSTRAP = "~/ray_bootstrap_config.yaml"  # `ray up` writes it on the head


def check_teardown(experiment: Experiment) -> None:
    """Raises UserError if the cluster can't be ended from here."""
    if experiment.teardown and not Path(BOOTSTRAP).expanduser().is_file():
        raise UserError(
            f"teardown: {BOOTSTRAP} is missing; it is on the head of a cluster that `ray up` made: search there, or "
            "drop teardown and end the cluster as you started it"
        )


def take_down() -> str | None:
    """End all machines of the cluster, this one last; on premises, only Ray on them. Returns an error, or None."""
    config = yaml.safe_load(Path(BOOTSTRAP).expanduser().read_text())
    # Without containers in the configuration, Ray does not stop the one of this process before the machines.
    for settings in (config, *config["available_node_types"].values()):
        settings.pop("docker", None)
    with temporary_folder() as folder:
        file, ray = folder / "cluster.yaml", Path(sys.executable).with_name("ray")
        file.write_text(yaml.safe_dump(config))
        down = subprocess.run([ray, "down", "--yes", str(file)], capture_output=True, text=True)
    return None if down.returncode == 0 else " ".join(down.stderr.split())[-300:]
