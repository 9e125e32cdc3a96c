"""The end of a cluster that `ray up` made, from its own head."""

import subprocess
import sys
from pathlib import Path

import yaml

from search.settings.experiment import Experiment
from trainables.base.errors import UserError
from trainables.base.temporary import temporary_folder

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
    with temporary_folder() as folder:
        file, ray = folder / "cluster.yaml", Path(sys.executable).with_name("ray")
        file.write_text(yaml.safe_dump(config))
        down = subprocess.run([ray, "down", "--yes", str(file)], capture_output=True, text=True)
    return None if down.returncode == 0 else " ".join(down.stderr.split())[-300:]
