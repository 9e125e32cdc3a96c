"""The rounds of a race in the finals, as race.json of the run keeps them: which trainings each began."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from search.finals.leaderboard import Entry
from search.finals.significance import Looks
from search.settings.wording import count
from search.space.space import Params
from trainables.base.sealing import Damaged, read_sealed, write_sealed

FILE = "race.json"


class Rounds:
    """The rounds so far, the first with the first seeds of all finalists. After each, all finalists were compared."""

    def __init__(self, run_dir: Path, most: int, points: list[list[Params]], ended: str | None = None):
        """most: seeds of a finalist. points: of each round. ended: why there is no further one."""
        self.file, self.most, self.points, self.ended = run_dir / FILE, most, points, ended

    @classmethod
    def read(cls, run_dir: Path) -> Self | None:
        """The rounds of a run; None if its finals are no race. Raises Damaged."""
        if not (run_dir / FILE).exists():
            return None
        record = read_sealed(run_dir / FILE)
        try:
            return cls(run_dir, record["most_seeds"], record["rounds"], record["ended"])
        except KeyError:
            raise Damaged(f"{run_dir / FILE}: lacks the rounds of the race; restore it from a copy") from None

    def write(self) -> None:
        """Replace the file."""
        write_sealed(self.file, {"most_seeds": self.most, "rounds": self.points, "ended": self.ended})

    @property
    def given(self) -> list[Params]:
        """All points, in the order in which they were given."""
        return [point for each in self.points for point in each]

    def looks(self, entries: Sequence[Entry]) -> Looks:
        """How many models each entry had at each comparison."""
        seeds, known = [], set[tuple[int, int]]()
        for each in self.points:
            known |= {(int(str(point["finalist"])), int(str(point["seed"]))) for point in each}
            mine = [[(model.trial, model.config.seed) in known for model in entry.models] for entry in entries]
            seeds.append(list(map(sum, mine)))
        return Looks(seeds, self.most, over=self.ended is not None)

    def explain(self) -> list[str]:
        """A sentence about the race, once it has ended."""
        if self.ended is None:
            return []
        trainings, rounds = count(len(self.given), "training", "trainings"), count(len(self.points), "round", "rounds")
        return [f"The finals were a race: {trainings} in {rounds}. It ended because {self.ended}."]
