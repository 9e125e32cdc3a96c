"""The notebook and the program of examples/ run, and the notebook has the pictures of a whole run."""

import json
import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from notebooks import FILE, execute, page

import search
from search import load_run

ROOT = Path(__file__).parents[1]
CELLS = [cell for cell in json.loads(FILE.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def pictures(cells: list[Any]) -> int:
    return sum("image/png" in output.get("data", {}) for cell in cells for output in cell["outputs"])


@pytest.mark.rare
def test_the_notebook_runs(tmp_path: Path) -> None:
    """With fewer and shorter trials."""
    for package in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(package, reason="the notebook needs the extra `examples`")
    run = execute(FILE, tmp_path, TRIALS=2, EPOCHS=1)
    cells = [cell for cell in run.cells if cell.cell_type == "code"]
    assert pictures(cells) == pictures(CELLS) == 3
    printed = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    assert "trial   1  completed" in printed and "The old man" in printed and "\x1b" not in printed
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name[0] != ".")
    assert len(load_run(folder).trials) == 2


def test_the_notebook_was_kept_as_it_ran() -> None:
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    outputs = json.dumps([cell["outputs"] for cell in CELLS])
    assert '"error"' not in outputs and "Ranking by test BLEU" in outputs and "u001b" not in outputs
    assert not re.search(r"(?<![\w<.])/(?:tmp|home|root|work)/", outputs)
    text, images = page(FILE)
    assert all(image.startswith(b"\x89PNG") and f"]({name})" in text for name, image in images.items())


def test_the_program_says_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a run that has ended in place of its search."""
    ended = shutil.copytree(ROOT / "tests" / "runs" / "0.1", tmp_path / "ended")
    monkeypatch.setattr(search, "search", lambda experiment: load_run(ended), raising=False)
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    printed = capsys.readouterr().out
    best = load_run(ended).ranking.iloc[0]
    assert f"BLEU {best['test_bleu']:.1f}, 95% interval" in printed and "of 3 trials were stopped" in printed
