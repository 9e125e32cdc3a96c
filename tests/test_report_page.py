"""A real grid, and its report in a real browser: the numbers are right, every picture is there, nothing overflows."""

import html
import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from chromium import DESK, PHONE, needs_chromium, shown_at
from processes import IN_CLOSED_NETWORK, can_close_network, packets_out
from test_run import assert_sound, run, write_config

from search.record.journal import read_lines
from search.record.study import Study

WIDTHS = (DESK, PHONE)
SPACE: dict[str, dict[str, list[Any]]] = {
    "model.encoder_layers": {"values": [1, 2]},
    "model.d_model": {"values": [16, 32]},
    "model.activation": {"values": ["relu", "swiglu"]},
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run directory of a whole grid of eight, through the documented command, and what that said."""
    folder = tmp_path_factory.mktemp("grid")
    config = write_config(
        folder,
        training={"epochs": 2, "batch_tokens": 128, "warmup_steps": 20},
        space=SPACE,
        search={"sampler": "grid", "scheduler": "none", "trials": None, "concurrency": 1},
        finals={"top": 8, "seeds": 0, "beam_size": 1},
        tracking={"wandb": "offline"},
    )
    done = run("--config", str(config), "--name", "grid", within=IN_CLOSED_NETWORK if can_close_network() else ())
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "grid", done.stdout


@pytest.fixture(scope="module")
def grid(searched: tuple[Path, str]) -> Path:
    return searched[0]


def test_a_grid_scores_every_model_and_sends_nothing(searched: tuple[Path, str]) -> None:
    run_dir, said = searched
    assert not can_close_network() or packets_out(said) == 0, "something tried to leave the machine"
    assert_sound(run_dir, trials=8, epochs=2)
    assert "all 8 valid configurations of the space were tried" in said
    ranking = json.loads((run_dir / "leaderboard.json").read_text())["ranking"]
    assert sorted(entry["trial"] for entry in ranking) == list(range(8))
    assert all(entry["seeds"] == [1] for entry in ranking)
    assert len(list((run_dir / "wandb").glob("offline-run-*"))) == 8


def test_the_effects_of_a_grid_are_its_marginal_means(grid: Path) -> None:
    page = html.unescape((grid / "report.html").read_text(encoding="utf-8"))
    params = {number: trial.params for number, trial in Study(grid / "study.db", "search", "maximize").trials.items()}
    final = {line.trial: line.report.score("valid_bleu") for line in read_lines(grid / "trials.jsonl")}
    assert len(final) == 8
    for path, domain in SPACE.items():
        means = [fmean(final[n] for n in final if params[n][path] == value) for value in domain["values"]]
        for value, mean in zip(domain["values"], means, strict=True):
            assert f"mean at {value}: {mean:.2f} ±" in page
        low, high = domain["values"]
        step = "one more encoder layer" if path.endswith("layers") else f"{path[6:]} {high} instead of {low}"
        sign = "+" if means[1] >= means[0] else "−"
        assert f"{step} {sign}{abs(means[1] - means[0]):.2f} ±" in page


@pytest.fixture(scope="module")
def rendered(grid: Path) -> dict[int, dict[str, Any]]:
    """What a browser says of the report, by the width of its window."""
    needs_chromium()
    return shown_at(grid / "report.html", WIDTHS)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_every_picture_and_nothing_overflows(rendered: dict[int, dict[str, Any]], width: int) -> None:
    page = rendered[width]
    assert page["errors"] == []
    assert page["overflow"] <= 0
    pictures = {picture["name"]: picture for picture in page["pictures"]}
    assert len(pictures) == len(page["pictures"]), "each has a name of its own"
    attention = [f"attention-{sentence}-{kind}" for sentence in (1, 2, 3) for kind in ("cross", "encoder", "decoder")]
    assert set(pictures) == {
        "ranking-figure",
        "front-parameters",
        "learning-curves",
        "loss-figure",
        "progress-figure",
        "timeline-figure",
        "parallel-coordinates",
        "effects-figure",
        *(f"setting-{path.replace('.', '-')}" for path in SPACE),
        *attention,
        "length-figure",
    }
    for name, picture in pictures.items():
        assert picture["marks"] > 0 and picture["height"] > 100, f"{name} is empty"
        assert len(picture["alternative"]) > 10, f"{name} has no text alternative"
