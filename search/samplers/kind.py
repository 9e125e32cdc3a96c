"""A kind of sampler: its settings, the searches that it supports, and how it is made."""

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

    believes: ClassVar[bool] = False  # it uses the beliefs of the space
    expects: ClassVar[bool] = False  # notes the expected gain of its proposals, as search.stop_when_settled needs
    foresees: ClassVar[bool] = False  # its samplers are a Foresight
    fronts: ClassVar[bool] = True  # it can search with several goals
    learns: ClassVar[bool] = True  # its proposals depend on scores
    ends: ClassVar[bool] = False  # it ends by itself, so search.trials may be null

    @property
    def sources(self) -> tuple[str, ...] | None:
        """The paths of earlier searches that it starts from; None if the kind can't use any."""
        return None

    def check(self, space: SearchSpace) -> None:
        """Check that it can search the space. Raises ValueError; the message begins with the key at fault."""

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        """The sampler with these settings. prior: from `sources`. Raises UserError if a user's own sampler fails."""
        raise NotImplementedError


class NamedSampler(Named, SamplerSettings, extra="allow"):
    """A user's own sampler: `module:Name` is called with the task, and the settings by their names."""

    believes: ClassVar[bool] = True  # its author's choice

    def make(self, task: Task, prior: Prior | None = None) -> Sampler:
        """See SamplerSettings. Raises UserError if the user's class fails, or has no `propose`."""
        made = self.call(KEY, task)
        if not isinstance(made, Sampler):
            raise UserError(f"{KEY}: {self.kind} needs propose; see search/samplers/base.py")
        return self.guard(KEY, made, "propose")
