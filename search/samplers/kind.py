"""What a kind of sampler knows of itself: its settings, which searches it serves, how it is made."""

from typing import Annotated, ClassVar

from pydantic import Field

from search.samplers.base import Sampler, Task
from search.samplers.prior import Prior
from search.space.space import SearchSpace
from trainables.base.errors import UserError
from trainables.base.kinds import Kind, Named

KEY = "search.sampler"
Startup = Annotated[int, Field(ge=1, description="trials before the model decides")]


class SamplerSettings(Kind):
    """A kind of sampler: a subclass, in the table in `search.samplers`."""

    expects: ClassVar[bool] = False  # says what it expects of its proposals, as search.stop_when_settled needs
    learns: ClassVar[bool] = True  # proposes by what trials have scored
    ends: ClassVar[bool] = False  # by itself: search.trials may be null

    @property
    def sources(self) -> tuple[str, ...] | None:
        """Earlier searches that it starts from, as paths; None for a kind that can't."""
        return None

    def check(self, space: SearchSpace) -> None:
        """Raises ValueError for a space that it can't search; the message begins with the key that it blames."""

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        """The sampler with these settings; prior: what `sources` found. Raises UserError for one of the user's."""
        raise NotImplementedError


class NamedSampler(Named, SamplerSettings, extra="allow"):
    """A sampler of the user's: `module:Name` is called with the task, and the settings by their names."""

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        """As for each kind. Raises UserError if the user's class fails, or has no propose."""
        made = self.call(KEY, task)
        if not isinstance(made, Sampler):
            raise UserError(f"{KEY}: {self.kind} needs propose; see search/samplers/base.py")
        return self.guard(KEY, made, "propose")
