"""Samplers: they propose the next configuration, from a seed and the study alone, and have no state of their own."""

from search.samplers.base import Proposal, Sampler, Task
from search.samplers.default import DefaultSettings
from search.samplers.enumeration import GridSettings, QuasiRandomSettings, RandomSettings
from search.samplers.kind import NamedSampler, SamplerSettings
from search.samplers.optuna_kinds import CmaEsSettings, GaussianProcessSettings, Nsga2Settings, TpeSettings
from search.samplers.prior import Prior
from trainables.base.kinds import Kinds

__all__ = ["SAMPLERS", "Prior", "Proposal", "Sampler", "SamplerSettings", "Task"]

# The kinds of `search.sampler`; the first is the default. A new kind is a file beside these, and a line here.
SAMPLERS: Kinds[SamplerSettings] = Kinds(
    DefaultSettings,
    RandomSettings,
    GridSettings,
    QuasiRandomSettings,
    TpeSettings,
    GaussianProcessSettings,
    CmaEsSettings,
    Nsga2Settings,
    named=NamedSampler,
)
