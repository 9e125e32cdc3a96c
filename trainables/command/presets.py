"""The table of known trainers: what each needs in place of the defaults of `CommandSettings`."""

import shlex
from copy import copy
from typing import Any, Literal

from pydantic import create_model

from trainables.base.kinds import Kinds
from trainables.command.description import CommandSettings

# JoeyNMT draws its initial weights before it seeds, so its random numbers are seeded first.
SEEDED_JOEYNMT = """\
import runpy, sys, torch
torch.manual_seed(int(sys.argv.pop(1)))
runpy.run_module("joeynmt", run_name="__main__", alter_sys=True)
"""
TRANSLATE_BY_HUGGINGFACE = """\
import sys, torch, transformers as t
folder, lines = sys.argv[1], [line.rstrip("\\n") for line in sys.stdin]
tokenizer = t.AutoTokenizer.from_pretrained(folder)
model = t.AutoModelForSeq2SeqLM.from_pretrained(folder).to("cuda" if torch.cuda.is_available() else "cpu").eval()
for first in range(0, len(lines), 32):
    batch = tokenizer(lines[first : first + 32], return_tensors="pt", padding=True, truncation=True).to(model.device)
    for text in tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True):
        print(" ".join(text.split()))
"""


def _python(program: str, arguments: str) -> str:
    return f"{{python}} -c {shlex.quote(program)} {arguments}"


def _preset(name: str, about: str, **defaults: Any) -> type[CommandSettings]:
    """A kind of command with other defaults."""
    fields: dict[str, Any] = {"kind": (Literal[name], name)}
    for key, value in defaults.items():
        field = copy(CommandSettings.model_fields[key])
        field.default, field.default_factory = value, None
        fields[key] = (field.annotation, field)
    made: type[CommandSettings] = create_model(name.title(), __base__=CommandSettings, __doc__=about, **fields)
    return made


OWN = _preset(
    "own",
    "A trainer of your own, or any that has no entry here: say how it is started and read.",
    train="{python} train.py {config}",
    translate="{python} translate.py {checkpoint}",
)

JOEYNMT = _preset(
    "joeynmt",
    "JoeyNMT 2.3: Kreutzer et al. 2019. The trainer's configuration is its YAML file.",
    train=_python(SEEDED_JOEYNMT, "{seed} train {config} -t"),
    set={
        "model_dir": "{folder}/model",
        "random_seed": "{seed}",
        "training.updates": "{total}",
        "training.epochs": 1_000_000_000,
        "training.validation_freq": "{round}",
        "training.keep_best_ckpts": -1,
        "training.learning_rate_min": 0.0,
    },
    resume={"training.load_model": "{checkpoint}"},
    reports={
        "file": "model/validations.txt",
        "patterns": [
            r"^Steps: (?P<step>\d+)\t",
            *(rf"\t{there}: (?P<valid_{here}>\S+)" for here, there in {"bleu": "bleu", "ppl": "ppl"}.items()),
            *(rf"\t{there}: (?P<valid_{here}>\S+)" for here, there in {"loss": "loss", "chrf": "chrf"}.items()),
        ],
    },
    metrics={"valid_bleu": "maximize", "valid_ppl": "minimize"},
    checkpoint=["model/{step}.ckpt", "model/*_vocab.txt"],
    outcomes={"diverged": r"Batch Loss:\s+(nan|inf)"},
    translate="{python} -m joeynmt translate {config}",
    translating={"model_dir": "{checkpoint_folder}", "testing.load_model": "{checkpoint}"},
    exact=False,
)

HUGGINGFACE = _preset(
    "huggingface",
    "A script with the Seq2SeqTrainer of Hugging Face's transformers, which reads its arguments from a JSON file.",
    train="{python} run_translation.py {config}",
    file="config.json",
    set={
        "output_dir": "{folder}",
        "seed": "{seed}",
        "max_steps": "{total}",
        "do_train": True,
        "do_eval": True,
        "eval_strategy": "steps",
        "eval_steps": "{round}",
        "save_strategy": "steps",
        "save_steps": "{round}",
        "save_total_limit": 2,
        "predict_with_generate": True,
        "report_to": "none",
    },
    resume={"resume_from_checkpoint": "{checkpoint}"},
    reports={
        "file": "checkpoint-*/trainer_state.json",
        "entries": "log_history",
        "names": {"eval_bleu": "valid_bleu", "eval_loss": "valid_loss", "loss": "train_loss"},
    },
    metrics={"valid_bleu": "maximize", "valid_loss": "minimize"},
    checkpoint=["checkpoint-{step}"],
    complete="trainer_state.json",
    translate=_python(TRANSLATE_BY_HUGGINGFACE, "{checkpoint}"),
)

MARIAN = _preset(
    "marian",
    "Marian 1.12. Written from its source; it was not run.",
    python="marian",
    train="marian -c {config}",
    file="config.yml",
    set={
        "model": "{folder}/model.npz",
        "seed": "{seed}",
        "after": "{target}u",
        "valid-freq": "{round}u",
        "save-freq": "{round}u",
        "valid-log": "{folder}/valid.log",
        "overwrite": True,
        "throw-on-divergence": [],
    },
    reports={
        "file": "valid.log",
        "patterns": [
            r"Up\. (?P<step>\d+) : bleu : (?P<valid_bleu>\S+)",
            r"Up\. (?P<step>\d+) : ce-mean-words : (?P<valid_loss>\S+)",
        ],
    },
    checkpoint=["model.npz", "model.npz.*"],
    pause="target",
    outcomes={"diverged": "DivergenceException|diverged"},
    translate="marian-decoder -c {checkpoint_folder}/model.npz.decoder.yml",
    exact=False,
)

# The kinds of `command`; the first is the default. A new trainer is an entry here.
COMMANDS: Kinds[CommandSettings] = Kinds(OWN, JOEYNMT, HUGGINGFACE, MARIAN)
