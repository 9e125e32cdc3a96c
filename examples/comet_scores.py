"""COMET as a metric of babeltune, in an environment of its own: it needs unbabel-comet, and nothing of babeltune.

python3 -m venv comet && comet/bin/pip install unbabel-comet "setuptools<81"

metrics:
comet: {kind: command, command: comet/bin/python examples/comet_scores.py Unbabel/wmt22-comet-da}
kiwi: {kind: command, command: comet/bin/python examples/comet_scores.py Unbabel/wmt22-cometkiwi-da}
"""

import contextlib
import json
import sys

import torch
from comet import download_model, load_from_checkpoint


def main(name: str) -> None:
    """Score texts from standard input: a line of JSON for each sentence, and an empty line at the end of a text."""
    scores = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # nothing else may print among the scores
        model = load_from_checkpoint(name if name.endswith(".ckpt") else download_model(name))
        rows = []
        for line in sys.stdin:
            if line.strip():
                pair = json.loads(line)
                rows.append({"src": pair["source"], "mt": pair["translation"], "ref": pair["reference"]})
                continue
            if not model.requires_references():
                rows = [{"src": row["src"], "mt": row["mt"]} for row in rows]
            found = model.predict(rows, batch_size=16, gpus=int(torch.cuda.is_available()), num_workers=0)
            print(*(float(score) for score in found.scores), sep="\n", file=scores)
            print(file=scores, flush=True)
            rows = []


if __name__ == "__main__":
    main(sys.argv[1])
