"""The short form of `make soak`: a real search, killed a few times, ends as if undisturbed."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "bench" / "soak.py"


@pytest.mark.rare
def test_a_search_by_promotion_survives_kills_at_random_moments() -> None:
    command = [
        sys.executable,
        str(SOAK),
        "--disturbances",
        "2",
        "--kinds",
        "driver killed",
        "worker killed",
        "--schedulers",
        "asha_promotion",
        "--slots",
        "1",
    ]
    done = subprocess.run([*command, "--trials", "8"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "each as if undisturbed" in done.stdout
