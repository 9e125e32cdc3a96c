"""Trains one trial of a W&B sweep; `wandb agent` runs this program, see configs/wandb-sweep.yaml.

python -m search.tracking.sweep_program --config FILE [--key VALUE]   the base, and the sweep's values
"""

import os
import sys

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

import torch
import wandb

from search.settings.experiment import experiment_class
from search.settings.problem import TRANSLATION
from search.tracking.tracked import TrackedRun
from search.tracking.wandb_runs import end_run
from trainables.acceleration.captured import choose_step
from trainables.base.command_line import parse_config
from trainables.base.errors import Diverged, UserError
from trainables.base.help_pages import Program
from trainables.base.outcomes import Outcome
from trainables.base.translation_config import as_translation
from trainables.data.encoding.preparing import prepare
from trainables.training.loop import train


def main(arguments: list[str]) -> None:
    """Train on this process's GPU, or on one CPU thread, and log each epoch. Raises UserError."""
    program = Program("python -m search.tracking.sweep_program", "Train one trial of a W&B sweep.")
    experiment, _ = parse_config(experiment_class(TRANSLATION), arguments, program)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run = wandb.init(settings=wandb.Settings(console="off"))  # the agent sets the run and the sweep
    run.config.update(experiment.trial.model_dump(mode="json"))  # type: ignore[no-untyped-call]
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    trial = as_translation(experiment.trial)
    prepared = prepare(trial.data, trial.tokenizer, experiment.cache)
    tracked = TrackedRun(run.name or "", "trial", {}, Outcome.COMPLETED)
    try:
        for report, _ in train(trial, prepared, make_step=choose_step):
            values = {name: value for name, value in report.stored().items() if value is not None}
            step = int(values[experiment.training.unit])
            tracked.reports[step] = values
            run.log(values, step=step)
    except Diverged as error:
        tracked.state, tracked.message = Outcome.DIVERGED, str(error)
    end_run(run, tracked)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
