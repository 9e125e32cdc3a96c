"""A real grid, and its report in a real browser: the numbers are right, every picture is there, nothing overflows."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from processes import IN_CLOSED_NETWORK, can_close_network, packets_out
from test_run import assert_sound, run, write_config

from search.record.journal import read_lines
from search.record.study import Study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 390)  # a desk, a phone
SPACE: dict[str, dict[str, list[Any]]] = {
    "model.encoder_layers": {"values": [1, 2]},
    "model.d_model": {"values": [16, 32]},
    "model.activation": {"values": ["relu", "swiglu"]},
}
# Stands at the top of the report: what goes wrong, and what is there in the end, is told to the page around it.
PROBE = """<script>
const errors = [];
const keep = (...what) => errors.push(what.map(String).join(" "));
console.error = keep;
addEventListener("error", (event) => keep(event.message));
addEventListener("unhandledrejection", (event) => keep(event.reason));
addEventListener("load", () => setTimeout(() => parent.postMessage(JSON.stringify({
  errors,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  pictures: [...document.querySelectorAll("[role=img]")].map((picture) => ({
    name: picture.querySelector(".js-plotly-plot")?.id,
    height: picture.getBoundingClientRect().height,
    alternative: picture.getAttribute("aria-label"),
    marks: picture.querySelectorAll(".point, .js-line, .hm image").length,
  })),
}), "*"), 500));
</script>"""


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
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: the report was not rendered")
    report = (grid / "report.html").read_text(encoding="utf-8")
    (grid / "probed.html").write_text(report.replace("<head>", f"<head>{PROBE}", 1), encoding="utf-8")
    # A window can't be as narrow as a phone; a frame in it can.
    frames = "".join(f'<iframe src="probed.html" width="{width}" height="900"></iframe>' for width in WIDTHS)
    listen = (
        "const frames = [...document.querySelectorAll('iframe')];"
        "addEventListener('message', (event) => { const pre = document.createElement('pre');"
        "pre.id = frames.find((frame) => frame.contentWindow === event.source).width;"
        "pre.textContent = event.data; document.body.append(pre); });"
    )
    (grid / "frames.html").write_text(f"<!doctype html><body>{frames}<script>{listen}</script></body>")
    with tempfile.TemporaryDirectory() as profile:
        quiet = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update")
        command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={profile}"]
        url = (grid / "frames.html").as_uri()
        done = subprocess.run(
            [*command, "--virtual-time-budget=20000", "--window-size=1800,1000", "--dump-dom", url],
            capture_output=True,
            text=True,
            timeout=120,
        )
    found = {
        int(width): json.loads(html.unescape(text))
        for width, text in re.findall(r'<pre id="(\d+)">(.*?)</pre>', done.stdout, re.DOTALL)
    }
    assert set(found) == set(WIDTHS), f"the browser said nothing of the page: {done.stderr[-2000:]}"
    return found


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
        "parallel-coordinates",
        "effects-figure",
        *(f"setting-{path.replace('.', '-')}" for path in SPACE),
        *attention,
        "length-figure",
    }
    for name, picture in pictures.items():
        assert picture["marks"] > 0 and picture["height"] > 100, f"{name} is empty"
        assert len(picture["alternative"]) > 10, f"{name} has no text alternative"
