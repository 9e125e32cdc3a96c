"""Makes the plan of a search: extent of the space, measured speeds, and estimate."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from search.cluster.slots import Slots
from search.planning.estimate import TIMES, Estimate, estimate
from search.planning.extent import Extent
from search.planning.models import Models, models_of
from search.planning.probe import probe
from search.planning.speeds import Measured, Speeds
from search.settings.experiment import Experiment
from search.translation.finals_config import TranslationFinals
from trainables.base.config import TrialConfig, digest
from trainables.base.files import create_folder
from trainables.base.installed import processor, version_of
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.translator_config import as_translator
from trainables.data.corpora.cache import cached_corpus, cached_test_digest
from trainables.data.encoding.batching import rounds_of


@dataclass(frozen=True)
class PlannedSearch:
    """The plan of a search, with what it is based on."""

    extent: Extent
    slots: Slots
    speeds: Speeds | None  # None if nothing was measured
    estimate: Estimate


def plan_search(experiment: Experiment, extent: Extent, slots: Slots, measuring: bool) -> PlannedSearch | None:
    """Estimate the search, from seconds that are measured now or were measured here for an earlier plan of it.

    measuring: whether to measure. A search does not, as this takes half a minute, and epochs and disk space can be
    estimated without it. Returns None if they can't, because a limit in time may end the search. Raises UserError if a
    model can't be trained.
    """
    configs, models = probed_configs(experiment, extent), models_of(experiment)
    file = experiment.cache / "speeds" / f"{_name(experiment, configs, slots)}.json"
    speeds = _measure(experiment, configs, slots, file) if measuring else _read(file, models)
    if speeds is None and experiment.search.budget.limits.keys() & TIMES:
        return None
    prepared = models.prepare(experiment.trial, experiment.cache)
    rounds = rounds_of(prepared.train, as_translator(experiment.trial).training)
    return PlannedSearch(extent, slots, speeds, estimate(experiment, extent, slots, rounds, speeds))


def probed_configs(experiment: Experiment, extent: Extent) -> list[TrialConfig]:
    """The lightest and the heaviest configuration of the space, and the base; one of those with equal work.

    The lightest is first, so that the process's peak of memory is always that of the present one.
    """
    configs = (extent.lightest.config, extent.heaviest.config, experiment.trial)
    by_work = {models_of(experiment).work_of_pair(config): config for config in configs}
    return [by_work[work] for work in sorted(by_work)]


def _measure(experiment: Experiment, configs: Sequence[TrialConfig], slots: Slots, file: Path) -> Speeds:
    copies = slots.count
    if slots.gpus:
        copies = max(1, int(1 / slots.gpus))  # trials that share a GPU
    finals, data = experiment.finals, as_translator(experiment.trial).data
    assert isinstance(finals, TranslationFinals)
    beam_size = max(way.beam_size for way in finals.decodings)
    train, cache = cached_corpus(data, experiment.cache).train, experiment.cache
    test_pairs = sum(cached_test_digest(data, train, cache, key)["pairs"] for key in data.tests)
    models = models_of(experiment)
    measured = probe(models, configs, experiment.cache, copies, beam_size, test_pairs)
    create_folder(file.parent)
    write_sealed(file, {"measured": [asdict(each) for each in measured]})
    return Speeds(measured, models)


def _read(file: Path, models: Models) -> Speeds | None:
    with suppress(Damaged, TypeError):  # then it is measured again
        return Speeds([Measured(**each) for each in read_sealed(file)["measured"]], models)
    return None


def _name(experiment: Experiment, configs: Sequence[TrialConfig], slots: Slots) -> str:
    """A name from all that the time depends on: configurations, text, slots, processor and torch."""
    text = cached_corpus(as_translator(experiment.trial).data, experiment.cache).train.digest()
    what = [[config.model_dump() for config in configs], text, asdict(slots), processor(), version_of("torch")]
    return digest(what)
