"""How fine-tuning is prepared: text and models are checked before Ray starts, and pinned in the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from search.settings.experiment import Experiment
from search.translation.preparation import TextPreparation, tell_rounds, tell_sizes
from search.translation.shown_pairs import show_pairs
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.log import say, warn
from trainables.base.pretrained_config import FineTunedConfig, as_fine_tuned
from trainables.data.corpora.cache import cached_corpus
from trainables.pretrained.model_files import digests, files_of, name_of, need_packages
from trainables.sharing.corpora import store_corpus
from trainables.sharing.inputs import store_inputs
from trainables.sharing.storage import Storage, new_driver

if TYPE_CHECKING:  # it imports torch
    from trainables.training.gpu import Need

MODEL = "pretrained model"  # of a name, in the record of a run


class PretrainedPreparation(TextPreparation):
    """See `search.settings.preparation.Preparation`."""

    def prepare(self, experiment: Experiment, console: Console) -> None:
        """Read and check the corpus and the models, and say what there is."""
        need_packages("problem: pretrained")
        corpus = self.read(experiment)
        from trainables.pretrained.network import count, load_network
        from trainables.pretrained.preparing import prepare_pretrained  # takes seconds: a wrong path is told before
        from trainables.training.device import CPU

        show_pairs(corpus.train, console)
        for warning in corpus.warnings:
            warn(warning)
        for config in variants(experiment):
            prepared = prepare_pretrained(config.data, config.pretrained, experiment.cache)
            tell_sizes(prepared, f"{prepared.codec.vocabulary:,} pieces of {config.pretrained.model}")
            parameters, trained = count(load_network(config, CPU))
            say(f"{trained:,} of {parameters:,} parameters are trained in the base trial ({trained / parameters:.2%})")
            if config.training.unit != "epoch":
                tell_rounds(experiment, prepared)

    def share(self, experiment: Experiment) -> Storage:
        """With the corpus in it, and the models."""
        assert experiment.storage
        corpus = cached_corpus(as_fine_tuned(experiment.trial).data, experiment.cache)
        models = [config.pretrained for config in variants(experiment)]
        inputs = store_inputs(experiment.storage, {name_of(model): files_of(model) for model in models})
        return Storage(experiment.run_url, new_driver(), store_corpus(experiment.storage, corpus), inputs)

    def pin_data(self, experiment: Experiment, known: Mapping[str, Any]) -> dict[str, Any]:
        """Digests of the splits, and of the files of the models. Raises UserError if one changed."""
        splits = super().pin_data(experiment, known)
        for config in variants(experiment):
            name = f"{MODEL} {config.pretrained.model}"
            found = digests(config.pretrained)
            before = known.get(name, found) if known else found
            if changed := sorted(file for file in found.keys() | before.keys() if found.get(file) != before.get(file)):
                raise UserError(
                    f"pretrained.model: {config.pretrained.model}: {', '.join(changed)} changed since this run began; "
                    "restore it, or start a new search"
                )
            splits[name] = found
        return splits

    def pin_made(
        self, experiment: Experiment, configs: Sequence[TrialConfig], known: Mapping[str, Any], start: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {}

    def largest(self, configs: list[TrialConfig]) -> list[TrialConfig]:
        return configs[:1]

    def measure(self, configs: list[TrialConfig], cache: Path, storage: Storage | None) -> "Need | None":
        return None

    def gain_of_bfloat16(self, config: TrialConfig, cache: Path, storage: Storage | None) -> float:
        return 1.0


def variants(experiment: Experiment) -> list[FineTunedConfig]:
    """The base trial with each of the models that the space can draw."""
    base, domain = as_fine_tuned(experiment.trial), experiment.space.domains.get("pretrained.model")
    found = [
        base,
        *(base.with_values({"pretrained.model": model}) for model in (domain.values or () if domain else ())),
    ]
    return list({config.pretrained.model: config for config in found}.values())


PREPARATION = PretrainedPreparation()
