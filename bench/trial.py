"""One whole trial on a CPU thread, at d_model 256: its peak memory and the cost of validation: `make bench`.

Runs the training command of the README, which translates the test split with a beam of 5 at the end. --data DIR takes
Multi30k (or files of the same names) in place of the embedded corpus. The model stays in --output_dir for decoding.py.
"""

import argparse
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from model.config import ModelConfig
from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.files import make_folder
from trainables.base.translation_config import TranslationConfig
from trainables.base.yaml_files import dump_yaml

NAME = "bench-trial"


def bench_model(layers: int, d_model: int) -> ModelConfig:
    """The shape that all peers can build."""
    return ModelConfig(
        encoder_layers=layers, decoder_layers=layers, d_model=d_model, ffn_dim=4 * d_model, dropout=0.1, norm="post"
    )


def corpus_options(folder: Path | None) -> dict[str, str]:
    """Multi30k as configs/multi30k.yaml names its files; the embedded corpus without a folder."""
    names = {"path": str(folder), "source": "en", "target": "fr", "valid": "val", "test": "test_2016_flickr"}
    return {f"data.{key}": value for key, value in names.items()} if folder else {}


def bench_trial(data: Path | None) -> TranslationConfig:
    """A post-norm model that learns where sentences end; post-norm needs a lower learning rate than usual."""
    epochs = 1 if data else 2  # until it ends its sentences
    options = corpus_options(data) | {"training.epochs": epochs, "training.learning_rate": 0.001}
    if data is None:
        options["tokenizer.vocab_size"] = 1000  # the most pieces for the embedded corpus
    return TranslationConfig(model=bench_model(2, 256)).with_values(options)


def main(arguments: argparse.Namespace) -> None:
    checkpoints = arguments.output_dir / NAME
    shutil.rmtree(checkpoints, ignore_errors=True)
    make_folder(arguments.output_dir)
    config = arguments.output_dir / f"{NAME}.yaml"
    config.write_text(dump_yaml(bench_trial(arguments.data)))
    command = [sys.executable, "-m", "trainables", "--config", str(config), "--score_test"]
    subprocess.run([*command, "--name", NAME, "--output_dir", str(arguments.output_dir)], check=True)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    found = newest_checkpoint(checkpoints)
    assert found
    report = found[1]
    print(f"peak memory of the trial, decoding included: {memory:.0f} MiB")
    print(
        f"validation of the last epoch: {report['eval_seconds']:.1f} s, "
        f"{report['eval_seconds'] / report['train_seconds']:.1%} of its training"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of a corpus")
    parser.add_argument("--output_dir", type=Path, default=Path("runs"), help="keeps the model and the tokenizer")
    main(parser.parse_args())
