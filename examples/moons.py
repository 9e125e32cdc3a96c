"""A problem of your own: which small network tells two noisy half moons apart.

    babeltune --config examples/moons.yaml

docs/problems.md explains it line by line.
"""

import itertools

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from model.config import Config
from search import Curves, EpochTraining, ItemFinals, Metric, Problem, TrainingConfig, TrialConfig


class Network(Config):
    """What may be searched of the network."""

    width: int = Field(8, ge=1, description="of the hidden layers")
    layers: int = Field(1, ge=1, description="hidden ones")


class Training(TrainingConfig):
    """What may be searched of the training, beside its epochs."""

    epochs: int = Field(9, ge=1, description="passes over the points")
    learning_rate: float = Field(0.01, gt=0, description="of Adam")


class MoonsConfig(TrialConfig):
    """All that decides one training."""

    network: Network = Network()
    training: Training = Training()
    seed: int = 1


class Classifier:
    """One training."""

    def __init__(self, config: MoonsConfig):
        widths = [2, *[config.network.width] * config.network.layers]
        hidden = [part for i, o in itertools.pairwise(widths) for part in (nn.Linear(i, o), nn.ReLU())]
        self.model = nn.Sequential(*hidden, nn.Linear(widths[-1], 2))
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.training.learning_rate)
        self.train_points, self.valid_points = make_moons(2000, seed=1), make_moons(500, seed=2)

    def train_epoch(self) -> dict[str, float]:
        points, labels = self.train_points
        losses = []
        for rows in torch.randperm(len(points)).split(50):
            loss = nn.functional.cross_entropy(self.model(points[rows]), labels[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        points, labels = self.valid_points
        with torch.no_grad():
            scores = self.model(points)
        return {
            "valid_accuracy": 100 * (scores.argmax(1) == labels).float().mean().item(),
            "train_loss": float(np.mean(losses)),
            "valid_loss": nn.functional.cross_entropy(scores, labels).item(),
        }

    def state_dict(self) -> dict[str, object]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def test(self) -> list[float]:
        points, labels = make_moons(1000, seed=3)
        return (100.0 * (self.model(points).argmax(1) == labels)).tolist()


def make_moons(points: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy points on two half circles, (points, 2), and which of them each is on, (points,)."""
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=points)
    angle = rng.uniform(0, np.pi, points) + np.pi * label
    places = np.stack([np.cos(angle) + label, np.sin(angle) + 0.5 * label], axis=1)
    return torch.tensor(places + rng.normal(0, 0.25, places.shape), dtype=torch.float32), torch.tensor(label)


MOONS = Problem(
    title="two moons",
    config=MoonsConfig,
    metrics={"valid_accuracy": Metric("valid accuracy"), "valid_loss": Metric("valid loss", "minimize", digits=4)},
    training=EpochTraining(Classifier),
    finals=ItemFinals("test_accuracy", Metric("test accuracy"), items="points", bounds=(0.0, 100.0)),
    curves=Curves(("train_loss", "valid_loss"), "loss (nats)"),
)
