"""A search that compares trials and ranks finalists by a tiny neural metric, in the process and as a command."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_run import run, write_config

from search import load_run
from search.finals import stages
from search.finals.significance import weigh
from search.record.journal import read_lines
from trainables.base.metrics import Metric
from trainables.base.sealing import read_sealed
from trainables.scoring.metrics import mean_of_sums

TINY = '''
"""The cosine of two texts in the space of a tiny random network; also a program."""
import json, os, sys
import torch

class Tiny:
    def __init__(self, log):
        torch.manual_seed(0)
        self.embed = torch.nn.EmbeddingBag(997, 16)
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\\n")

    def texts(self, lines):
        ids = [[sum(map(ord, word)) % 997 for word in line.split()] or [0] for line in lines]
        flat, starts = torch.tensor(sum(ids, [])), [0]
        for each in ids[:-1]:
            starts.append(starts[-1] + len(each))
        return self.embed(flat, torch.tensor(starts))

    @torch.inference_mode()
    def __call__(self, sources, translations, references):
        return torch.cosine_similarity(self.texts(translations), self.texts(references)).double()

if __name__ == "__main__":
    metric, pairs = Tiny(sys.argv[1]), []
    for line in sys.stdin:
        if line.strip():
            pairs.append(json.loads(line))
            continue
        columns = zip(*((pair["source"], pair["translation"], pair["reference"]) for pair in pairs))
        print(*metric(*columns).tolist(), sep="\\n")
        print(flush=True)
        pairs = []
'''


@pytest.mark.rare
def test_a_search_is_ranked_by_a_tiny_neural_metric(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY)
    logs = {name: tmp_path / f"{name}.log" for name in ("tiny", "piped")}
    config = write_config(
        tmp_path,
        metrics={
            "tiny": {"kind": "tiny:Tiny", "log": str(logs["tiny"])},
            "piped": {"kind": "command", "command": f"{sys.executable} tiny.py {logs['piped']}"},
        },
        training={"epochs": 3, "batch_tokens": 128, "warmup_steps": 20, "valid_metrics": ["chrf"]},
        search={"trials": 4, "concurrency": 1, "metric": "valid_tiny"},
        finals={"top": 2, "seeds": 2, "beam_size": 1, "rank_by": "piped"},
    )
    done = run("--config", str(config), "--name", "one", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / "runs" / "one"
    assert "Ranking by test piped" in done.stdout and "valid tiny" in done.stdout
    made = {name: Counter(log.read_text().split()) for name, log in logs.items()}
    assert set(made["tiny"].values()) == {1}, "loaded once in a process"
    assert len(made["piped"]) == 2, "started for the check, and by the finals; not by workers"

    reports = [line.report for line in read_lines(run_dir / "trials.jsonl")]
    assert all({"valid_bleu", "valid_tiny", "valid_chrf"} <= report.figures.keys() for report in reports)
    assert not any("valid_piped" in report.figures for report in reports)
    frozen = json.loads((run_dir / "finalists.json").read_text())
    assert (frozen["metric"], frozen["decided_by"]) == ("valid_tiny", "valid_tiny")

    board = json.loads((run_dir / "leaderboard.json").read_text())
    assert (board["metric"], board["decided_by"]) == ("test_piped", "test_piped")
    first, second = board["ranking"]
    assert first["test_piped"] > second["test_piped"]
    systems: dict[str, list[list[stages.Statistics]]] = {"piped": [], "tiny": []}
    for entry in board["ranking"]:
        for name, found in systems.items():
            kept = [read_sealed(run_dir / "finals" / str(n) / f"test_{name}.json") for n in entry["final_trials"]]
            found.append([(np.array(record["statistics"]),) for record in kept])
        scores = [seed[:, 0].mean() for (seed,) in systems["piped"][-1]]
        assert all(seed.shape == (40, 2) for (seed,) in systems["piped"][-1])
        assert entry["test_piped"] == pytest.approx(np.mean(scores))
        assert entry["test_tiny"] == pytest.approx(entry["test_piped"])
        for name in ("bleu", "chrf", "ter"):
            low, high = entry[f"test_{name}_ci"]
            assert low <= entry[f"test_{name}"] <= high and entry[f"test_{name}_group"] in (1, 2)
        assert 0 < entry["valid_tiny"] <= 1 < entry["valid_chrf"]
    # As BLEU's: over seeds and sentences, from the scores of single sentences.
    evidence = weigh(
        systems["piped"], stages.TestMetric("x", Metric("x"), "x", "sentences", mean_of_sums, (-np.inf, np.inf))
    )
    assert [tuple(entry["test_piped_ci"]) for entry in board["ranking"]] == evidence.intervals
    assert [entry["group"] for entry in board["ranking"]] == evidence.groups
    (pair,), (same,) = board["comparisons"], board["further"]["test_tiny"]
    assert (pair["a"], pair["b"]) == (first["trial"], second["trial"])
    assert pair["p_holm"] == evidence.comparisons[0].p_holm
    assert same == pytest.approx(pair, rel=1e-3) if False else same["p_holm"] == pytest.approx(pair["p_holm"], abs=0.01)
    assert set(board["further"]) == {"test_tiny", "test_bleu", "test_chrf", "test_ter"}
    assert board["signatures"]["tiny"].startswith("kind:tiny:Tiny|direction:maximize|log:")

    table = load_run(run_dir, trust=True).ranking
    assert {"test_piped_low", "test_tiny_high", "test_bleu_low"} <= {*table.columns}
    page = (run_dir / "report.html").read_text(encoding="utf-8")
    for told in ("Ranking by test piped", "valid tiny", "test piped", "chrF++"):
        assert told in page

    # A further column needs new finals alone; what trials were compared by can't change.
    more = json.dumps({"one": {"kind": "tiny:Tiny", "direction": "minimize", "log": str(logs["tiny"])}})
    options = ["--finals.seeds", "1", "--finals.rank_by", "one", "--metrics", more]
    again = run("resume", str(run_dir), *options, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    board = json.loads((run_dir / "leaderboard.json").read_text())
    assert board["metric"] == "test_one" and board["ranking"][0]["test_one"] <= board["ranking"][1]["test_one"]
    assert len(read_lines(run_dir / "trials.jsonl")) == len(reports)
    changed = run("resume", str(run_dir), "--metrics", json.dumps({"tiny": {"direction": "minimize"}}), cwd=tmp_path)
    assert changed.returncode == 2 and "metrics.tiny.direction decides what is compared" in changed.stderr


@pytest.mark.rare  # test_metrics.py has its parts
def test_a_metric_that_fails_ends_the_search_in_a_sentence_and_it_goes_on(tmp_path: Path) -> None:
    """It is not the fault of a trial, so none is counted as failed."""
    code = "import os\ndef share(source, found, wanted):\n    os.stat('{there}')\n    return [len(f) for f in found]\n"
    (tmp_path / "share.py").write_text(code.format(there=tmp_path / "weights"))
    config = write_config(
        tmp_path,
        metrics={"share": "share:share"},
        training={"epochs": 2, "batch_tokens": 128, "warmup_steps": 20},
        search={"trials": 2, "concurrency": 1, "scheduler": "none", "metric": "valid_share"},
        finals={"top": 1, "seeds": 0, "beam_size": 1},
    )
    done = run("--config", str(config), "--name", "one", cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 2 and "metrics.share: share:share raised FileNotFoundError" in said, said
    assert "Traceback" not in said
    (tmp_path / "weights").touch()
    done = run("resume", str(tmp_path / "runs" / "one"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [*load_run(tmp_path / "runs" / "one", trust=True).trials["outcome"]] == ["completed"] * 2
