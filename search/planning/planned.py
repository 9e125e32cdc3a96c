"""The plan of a search: its space, its estimate, and what that rests on."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from search.cluster.slots import Slots
from search.planning.estimate import TIMES, Estimate, estimate
from search.planning.extent import Extent
from search.planning.probe import probe
from search.planning.size import work_of_pair
from search.planning.speeds import Measured, Speeds
from search.settings.experiment import Experiment
from search.translation.finals_config import TranslationFinals
from trainables.base.config import TrialConfig, digest
from trainables.base.files import create_folder
from trainables.base.installed import processor, version_of
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.translation_config import as_translation
from trainables.data.batching import count_batches
from trainables.data.corpus import digest_test
from trainables.data.corpus_cache import cached_corpus
from trainables.data.preparing import prepare


@dataclass(frozen=True)
class PlannedSearch:
    """What a search will take, and by what that is known."""

    extent: Extent
    slots: Slots
    speeds: Speeds | None  # None where nothing was measured
    estimate: Estimate


def plan_search(experiment: Experiment, extent: Extent, slots: Slots, measuring: bool) -> PlannedSearch | None:
    """Estimate the search, by seconds that are measured now, or that an earlier plan of it has measured here.

    measuring: whether to measure. A search does not: it would start half a minute later for it, and epochs and disk are
    known without; None where they are not, as a limit in time may end the search. Raises UserError where a model can't
    be trained.
    """
    configs = probed_configs(experiment, extent)
    file = experiment.cache / "speeds" / f"{_name(experiment, configs, slots)}.json"
    speeds = _measure(experiment, configs, slots, file) if measuring else _read(file)
    if speeds is None and experiment.search.budget.limits.keys() & TIMES:
        return None
    base = as_translation(experiment.trial)
    prepared = prepare(base.data, base.tokenizer, experiment.cache)
    steps = count_batches(prepared.train, base.training)
    return PlannedSearch(extent, slots, speeds, estimate(experiment, extent, slots, steps, speeds))


def probed_configs(experiment: Experiment, extent: Extent) -> list[TrialConfig]:
    """The lightest and the heaviest configuration of the space, and the base; none of equal work twice.

    The lightest is first, so that each peak of memory is of its own.
    """
    configs = (extent.lightest.config, extent.heaviest.config, experiment.trial)
    by_work = {work_of_pair(config): config for config in configs}
    return [by_work[work] for work in sorted(by_work)]


def _measure(experiment: Experiment, configs: Sequence[TrialConfig], slots: Slots, file: Path) -> Speeds:
    copies = slots.count
    if slots.gpus:
        copies = max(1, int(1 / slots.gpus))  # that share a GPU
    finals, data = experiment.finals, as_translation(experiment.trial).data
    assert isinstance(finals, TranslationFinals)
    beam_size = max(way.beam_size for way in finals.decodings)
    test_pairs = digest_test(data, cached_corpus(data, experiment.cache).train)["pairs"]
    measured = probe(configs, experiment.cache, copies, beam_size, test_pairs)
    create_folder(file.parent)
    write_sealed(file, {"measured": [asdict(each) for each in measured]})
    return Speeds(measured)


def _read(file: Path) -> Speeds | None:
    with suppress(Damaged, TypeError):  # it says nothing, then
        return Speeds([Measured(**each) for each in read_sealed(file)["measured"]])
    return None


def _name(experiment: Experiment, configs: Sequence[TrialConfig], slots: Slots) -> str:
    """The same for what takes the same time: configurations, text, slots, processor and torch."""
    text = cached_corpus(as_translation(experiment.trial).data, experiment.cache).train.digest()
    what = [[config.model_dump() for config in configs], text, asdict(slots), processor(), version_of("torch")]
    return digest(what)
