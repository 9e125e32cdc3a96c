"""Weights to start from, of the same architecture (`model.init_from`).

They are those of another run's best model, in best/, or the last ones of a single training, in the folder that
`babeltune train` or `python -m trainables` wrote.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model.config import ModelConfig
from model.transformer import Transformer
from trainables.base.checkpoint_files import REPORT, STATE, newest_checkpoint
from trainables.base.config import digest
from trainables.base.errors import UserError
from trainables.base.files import digest_of
from trainables.base.mistakes import validate
from trainables.base.sealing import Damaged, read_sealed
from trainables.base.translation_config import TranslationConfig
from trainables.base.translator_config import Part
from trainables.base.yaml_files import read_yaml
from trainables.sharing.inputs import bring_input, input_folder
from trainables.sharing.storage import Storage
from trainables.training.checkpoint import load_state

WEIGHTS, CONFIG, DIGESTS = "model.safetensors", "config.yaml", "digests.json"  # in best/
# Fields of a model that change none of its weights.
FREE = ("dropout", "attention_dropout", "activation_dropout", "layer_drop", "init_from")
# Names of parameters begin with these.
PARTS: dict[Part, tuple[str, ...]] = {
    "encoder": ("encoder.", "encoder_norm."),
    "decoder": ("decoder.", "decoder_norm."),
    "embeddings": ("source_embedding.", "target_embedding.", "source_positions.", "target_positions."),
}


def initial_files(config: TranslationConfig) -> list[Path]:
    """The files of the model that training starts from, and of the tokenizer that is taken over; none without."""
    start, taken = config.model.init_from, config.tokenizer.taken_from
    names = ("tokenizer.model",) if config.tokenizer.shared else ("source.model", "target.model")
    weights = [_weights_file(Path(start))] if start else []
    return weights + ([Path(taken) / name for name in names] if taken else [])


def files_of_start(config: TranslationConfig) -> dict[str, dict[str, Path]]:
    """The files of `initial_files`, and those that describe them, by their names in their folder; by `_name`."""
    if config.tokenizer.taken_from is None:
        return {}
    folder, files = Path(config.tokenizer.taken_from), initial_files(config)
    beside = [folder / CONFIG, folder / DIGESTS, *(file.with_name(REPORT) for file in files if file.name == STATE)]
    found = [*files, *(file for file in beside if file.is_file())]
    return {_name(config): {str(file.relative_to(folder)): file for file in found}}


def bring_start(storage: Storage, config: TranslationConfig, cache: Path) -> None:
    """Fetch what training starts from into the cache of this node, if it starts from anything. Raises StorageFails."""
    if config.tokenizer.taken_from is not None:
        bring_input(storage, _name(config), cache)


def at_hand(config: TranslationConfig, cache: Path) -> TranslationConfig:
    """The configuration, with the folder of what training starts from on a node to which it was brought."""
    folder = input_folder(_name(config), cache)
    if config.tokenizer.taken_from is None or not folder.is_dir():
        return config
    keys = ("tokenizer.taken_from", *(("model.init_from",) if config.model.init_from else ()))
    return config.with_values(dict.fromkeys(keys, str(folder)))


def _name(config: TranslationConfig) -> str:
    """The name of what training starts from among the inputs of a search."""
    return digest(config.tokenizer.taken_from)


def check_initial(config: TranslationConfig) -> None:
    """Raises UserError if the model of `model.init_from` is damaged, or of another architecture, with what differs."""
    if config.model.init_from is None:
        return
    folder = Path(config.model.init_from)
    missing = next((file.name for file in (_weights_file(folder), folder / CONFIG) if not file.is_file()), None)
    if missing is not None:
        raise UserError(
            f"model.init_from: {folder}: lacks {missing}; name best/ of a run that has ended, or the folder of one "
            "training, as `train RUN --trial N` leaves it"
        )
    if (folder / DIGESTS).is_file() and read_sealed(folder / DIGESTS).get(WEIGHTS) != digest_of(folder / WEIGHTS):
        raise Damaged(f"model.init_from: {folder / WEIGHTS}: was changed since its run; restore it")
    theirs = validate(TranslationConfig, read_yaml(folder / CONFIG), str(folder / CONFIG))
    decides = [name for name in ModelConfig.model_fields if name not in FREE and name not in theirs.model.unused]
    wanted = {f"model.{name}": (getattr(theirs.model, name), getattr(config.model, name)) for name in decides}
    for name in ("vocab_size", "shared"):
        wanted[f"tokenizer.{name}"] = getattr(theirs.tokenizer, name), getattr(config.tokenizer, name)
    if differing := [f"{key}: {their}" for key, (their, our) in wanted.items() if their != our]:
        raise UserError(f"model.init_from: {folder}: is of another architecture; write {', '.join(differing)}")


def _weights_file(folder: Path) -> Path:
    """The file with the weights: that of best/, or of the newest complete checkpoint of a single training."""
    found = None if (folder / WEIGHTS).exists() else newest_checkpoint(folder)
    return folder / WEIGHTS if found is None else found[0] / STATE


def _read_weights(file: Path) -> dict[str, Tensor]:
    if file.name == WEIGHTS:
        return load_file(file)
    weights: dict[str, Tensor] = load_state(file.parent, torch.device("cpu"))["model"]
    return weights


def load_initial(model: Transformer, config: TranslationConfig) -> None:
    """Give a model the weights of `model.init_from`, if that is set. Raises UserError."""
    if config.model.init_from is None:
        return
    check_initial(config)
    file = _weights_file(Path(config.model.init_from))
    try:
        weights = _read_weights(file)
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise UserError(f"model.init_from: {file}: can't be read: {' '.join(str(error).split())}") from None
    own = dict(model.named_parameters())  # a matrix with several names has one of them; a checkpoint has all
    found = {name: tensor.shape for name, tensor in weights.items() if name in own or file.name == WEIGHTS}
    if found != {name: tensor.shape for name, tensor in own.items()}:
        raise UserError(f"model.init_from: {file}: its tensors are not those of this model; another vocabulary?")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])


def freeze(model: Transformer, parts: tuple[Part, ...]) -> None:
    """Keep parts of a model as they are. The output matrix belongs to the embeddings if it is one of them."""
    begins = tuple(begin for part in parts for begin in PARTS[part])
    for name, parameter in model.named_parameters():
        if begins and name.startswith(begins):
            parameter.requires_grad_(False)
