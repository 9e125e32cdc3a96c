"""best/: the best model of a search, with everything that translating needs."""

from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.transformer import Transformer
from search.settings.stored import is_sealed
from search.translation.finals_config import Decoding
from trainables.base.claiming import CONFIG
from trainables.base.errors import UserError
from trainables.base.files import digest_of, publish_folder, remove
from trainables.base.installed import program
from trainables.base.mistakes import validate
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.translation_config import TranslationConfig
from trainables.base.yaml_files import dump_yaml, read_yaml
from trainables.data.encoding.tokenizer import Tokenizer, load_tokenizer, save_tokenizer
from trainables.training.device import default_device
from trainables.training.trained import load_model

DIGESTS = "digests.json"  # of the other files in best/
DEFAULT = Decoding(5, 1.0)


@dataclass(frozen=True)
class BestModel:
    """A model with everything that translating needs."""

    config: TranslationConfig
    model: Transformer
    tokenizer: Tokenizer
    decoding: Decoding  # as in the finals


def write_best(folder: Path, best: BestModel, translations: list[str]) -> None:
    """Write best/ into a run: the model, and its translations of the test split."""
    draft = folder / ".best"
    remove(draft)
    draft.mkdir()
    # Tied weights are one tensor with several names; the file has it once.
    tensors = {name: parameter.detach().contiguous() for name, parameter in best.model.named_parameters()}
    save_file(tensors, draft / "model.safetensors")
    save_tokenizer(best.tokenizer, draft)
    (draft / "config.yaml").write_text(dump_yaml(best.config), encoding="utf-8")
    (draft / "decoding.yaml").write_text(yaml.safe_dump(asdict(best.decoding)), encoding="utf-8")
    (draft / "translations.txt").write_text("\n".join(translations) + "\n", encoding="utf-8")
    digests = {file.name: digest_of(file) for file in sorted(draft.iterdir())}
    write_sealed(draft / DIGESTS, digests)
    publish_folder(draft, folder / "best")


def read_best(run_dir: Path) -> BestModel:
    """The best model of a run, on the default device. Raises UserError for missing or damaged files."""
    folder = run_dir / "best"
    again = f"`{program('resume')} {run_dir}` writes it again"
    if not folder.is_dir():
        raise UserError(f"{run_dir}: holds no best/, which a search writes at its end; name a search that has ended")
    config_file, weights_file = folder / "config.yaml", folder / "model.safetensors"
    _check_digests(folder, sealed=is_sealed(run_dir / "experiment.yaml"), again=again)
    for file in (config_file, weights_file):
        if not file.is_file():
            raise UserError(f"{file}: is missing; {again}")
    config = validate(TranslationConfig, read_yaml(config_file), str(config_file))
    try:
        tokenizer = load_tokenizer(folder)
        weights = load_file(weights_file)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: can't be read: {' '.join(str(error).split())}; {again}") from None
    model = Transformer(config.model, tokenizer.source_vocab, tokenizer.target_vocab)
    # The file has tied weights under one name only, so load_state_dict can't be strict.
    if {name: w.shape for name, w in weights.items()} != {name: w.shape for name, w in model.named_parameters()}:
        raise UserError(f"{weights_file}: its tensors are not those of the model in {config_file}; {again}")
    model.load_state_dict(weights, strict=False)
    return BestModel(config, model.to(default_device()).eval(), tokenizer, _read_decoding(folder / "decoding.yaml"))


def read_trained(folder: Path) -> BestModel:
    """The model of one training without a search, with the default decoding. Raises UserError.

    folder: that of `python -m trainables`, or of `babeltune train`, beside which its cache is.
    """
    file = folder / CONFIG
    config = validate(TranslationConfig, read_yaml(file), str(file))
    return BestModel(config, *load_model(config, folder.parent / ".cache", folder, default_device()), DEFAULT)


def _check_digests(folder: Path, sealed: bool, again: str) -> None:
    """Raises Damaged for a file that was changed. sealed: whether the run's version wrote digests."""
    if not (sealed or (folder / DIGESTS).exists()):
        return
    for name, digest in read_sealed(folder / DIGESTS).items():
        if not (folder / name).is_file() or digest_of(folder / name) != digest:
            raise Damaged(f"{folder / name}: is missing or was changed; {again}")


def _read_decoding(file: Path) -> Decoding:
    """The decoding of the finals; a default for runs of earlier versions, which lack the file. Raises UserError."""
    if not file.is_file():
        return DEFAULT
    try:
        decoding = Decoding(**read_yaml(file))
        return Decoding(int(decoding.beam_size), float(decoding.length_penalty))
    except (TypeError, ValueError):
        raise UserError(f"{file}: must hold beam_size and length_penalty, as a search writes it; restore it") from None
