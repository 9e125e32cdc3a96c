"""What a training run reports."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochReport:
    """The results of one epoch, or of one round of `report_steps`.

    Losses are in nats without label smoothing, so that train and valid are the same quantity.
    """

    epoch: float  # passes over the training text so far; whole without `report_steps`
    step: int  # optimizer steps so far
    train_loss: float  # per target token, with dropout, mean over the epoch or round
    valid_loss: float  # per target token
    valid_nll_per_char: float  # per character of the reference: comparable between vocabularies
    valid_bleu: float  # greedy decoding, 0..100
    train_seconds: float
    eval_seconds: float
    tokens: int  # target tokens trained on in this epoch or round
    devices: float = 1.0  # that it had: GPUs, or a share of one; a CPU slot counts as one
    gpu_memory_gib: float | None = None  # the peak while training; None without a GPU
    gpu_utilization: float | None = None  # percent, near the end of training; None without a GPU or NVML
