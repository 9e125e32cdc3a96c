"""Schedulers: from the study alone they decide which trials continue at a rung, wait there, or end."""

from search.schedulers.base import Breeder, Decision, Scheduler
from search.schedulers.gentle import GentleSettings
from search.schedulers.halving import HalvingSettings
from search.schedulers.kind import NamedScheduler, SchedulerSettings, Task
from search.schedulers.median import MedianSettings
from search.schedulers.population import PopulationSettings
from search.schedulers.promotion import HyperbandSettings, PromotionSettings
from search.schedulers.unranked import UnrankedSettings
from trainables.base.kinds import Kinds

__all__ = ["SCHEDULERS", "Breeder", "Decision", "Scheduler", "SchedulerSettings", "Task"]

# The kinds of `search.scheduler`; the first is the default. A new kind is a file beside these, and a line here.
SCHEDULERS: Kinds[SchedulerSettings] = Kinds(
    PromotionSettings,
    HalvingSettings,
    HyperbandSettings,
    MedianSettings,
    GentleSettings,
    PopulationSettings,
    UnrankedSettings,
    named=NamedScheduler,
)
