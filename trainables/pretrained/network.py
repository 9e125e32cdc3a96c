"""A pretrained network, and the part of it that is trained: adapters or all weights, without what is frozen."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainables.base.errors import TooLarge, UserError
from trainables.base.pretrained_config import FineTunedConfig, LoraConfig, PretrainedConfig
from trainables.base.translator_config import Part
from trainables.pretrained.model_files import locate
from trainables.pretrained.quiet import quiet

QUERY, VALUE = ("q_proj", "q"), ("v_proj", "v")  # the names of these matrices in the families of transformers
ADAPTER = "lora_"  # in the names of its matrices
DROPOUT = ("dropout", "dropout_rate")  # the name of the rate in a configuration


@quiet()
def load_network(config: FineTunedConfig, device: torch.device) -> Any:
    """The pretrained model, with new adapters if so configured: the same seed gives the same ones.

    Only what is trained requires gradients. Returns a model of transformers, within one of peft if it has adapters.
    Raises UserError, TooLarge.
    """
    from transformers import AutoModelForSeq2SeqLM

    folder, rate = locate(config.pretrained), config.training.dropout
    options: dict[str, Any] = {"local_files_only": True, "dtype": torch.float32}
    if rate is not None:
        options[_dropout_key(folder)] = rate
    torch.manual_seed(config.seed)
    try:
        network = AutoModelForSeq2SeqLM.from_pretrained(folder, **options)
    except MemoryError as error:
        raise TooLarge(f"pretrained.model: {folder}: does not fit into memory: {error}") from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _unreadable(folder, error) from None
    network = _choose_trained(network, config.tuning, config.lora, config.training.freeze)
    for module in network.modules():
        if isinstance(module, nn.Embedding) and module.weight.requires_grad:
            _keep_padding(module)
    return network.to(device)


def expected_count(config: FineTunedConfig) -> tuple[int, int]:
    """As `count`, from the configuration of the model, without its weights. Raises UserError."""
    lora, one = config.tuning == "lora", LoraConfig(rank=1, targets=config.lora.targets)
    own, trained = _count_without_weights(config.pretrained, config.tuning, one, config.training.freeze)
    return own, trained * (config.lora.rank if lora else 1)  # adapters are as large as their rank


@lru_cache(maxsize=64)
@quiet()
def _count_without_weights(
    settings: PretrainedConfig, tuning: str, lora: LoraConfig, freeze: tuple[Part, ...]
) -> tuple[int, int]:
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    folder = locate(settings)
    try:
        with torch.device("meta"):
            found = AutoConfig.from_pretrained(folder, local_files_only=True)
            network = AutoModelForSeq2SeqLM.from_config(found)
            return count(_choose_trained(network, tuning, lora, freeze))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _unreadable(folder, error) from None


def _choose_trained(network: Any, tuning: str, lora: LoraConfig, freeze: tuple[Part, ...]) -> Any:
    """The network, with adapters if these are trained, in which only what is trained requires gradients."""
    for module in network.modules():
        if "Sinusoidal" in type(module).__name__:  # fixed, but transformers 5 loads some as if they were trained
            module.requires_grad_(False)
    if tuning == "lora":
        network = _with_adapters(network, lora)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and _part_of(name) in freeze:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UserError("training.freeze: leaves nothing to train; drop a part")
    return network


def _unreadable(folder: Path, error: Exception) -> UserError:
    return UserError(f"pretrained.model: {folder}: can't be read: {' '.join(str(error).split())[:300]}")


def trained_parameters(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that are trained, by name; one with two names comes once."""
    return ((name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad)


def count(network: nn.Module) -> tuple[int, int]:
    """The parameters of the model, without adapters, and those that are trained."""
    own = sum(parameter.numel() for name, parameter in network.named_parameters() if ADAPTER not in name)
    return own, sum(parameter.numel() for _, parameter in trained_parameters(network))


@quiet()
def merge(network: Any) -> Any:
    """The model of transformers with its adapters added to its matrices; the network itself if it has none."""
    return network.merge_and_unload() if hasattr(network, "merge_and_unload") else network


def _keep_padding(embedding: nn.Embedding) -> None:
    """Keep the zeros of padding, which also start MarianMT's decoder: a tied output matrix would change them."""
    row = embedding.padding_idx
    if row is not None and not embedding.weight[row].any():
        embedding.weight.register_hook(  # type: ignore[no-untyped-call]
            lambda grad: grad.index_fill(0, torch.tensor([row], device=grad.device), 0.0)
        )


def _with_adapters(network: Any, config: LoraConfig) -> Any:
    import peft

    adapters = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha_per_rank * config.rank,
        lora_dropout=config.dropout,
        target_modules=_targets(network, config.targets),
        bias="none",
    )
    return peft.get_peft_model(network, adapters)


def _targets(network: Any, targets: str) -> list[str]:
    """The names of the matrices that get an adapter. Raises UserError if there are none."""
    modules, head = dict(network.named_modules()), network.get_output_embeddings()
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear) and module is not head]
    in_attention = [name for name in linear if "attention" in type(modules[name.rpartition(".")[0]]).__name__.lower()]
    few = [name for name in in_attention if name.rpartition(".")[2] in (*QUERY, *VALUE)]
    chosen = {"query-value": few, "attention": in_attention, "all-linear": linear}[targets]
    if not chosen:
        raise UserError(f"lora.targets: {type(network).__name__} has no matrices that are called so; use all-linear")
    return chosen


def _part_of(name: str) -> str | None:
    """The part of the model that a parameter belongs to."""
    parts = name.split(".")
    if any(word in part for part in parts for word in ("embed", "shared")):
        return "embeddings"
    return next((part for part in ("encoder", "decoder") if part in parts), None)


def _dropout_key(folder: Any) -> str:
    """The key of the dropout rate in the configuration of a model. Raises UserError if it has none."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    for key in DROPOUT:
        if hasattr(config, key):
            return key
    raise UserError(f"training.dropout: {folder} has no rate of dropout; set it to null")
