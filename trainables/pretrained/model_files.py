"""The files of a pretrained model: a folder, or fetched once from the Hugging Face Hub."""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from trainables.base.config import digest
from trainables.base.errors import UserError
from trainables.base.extras import need_extra
from trainables.base.files import digest_of
from trainables.base.pretrained_config import FineTunedConfig, PretrainedConfig
from trainables.sharing.inputs import input_folder

SMALL = ("*.json", "*.model", "*.spm", "*.txt", "*.tiktoken")  # configuration and tokenizer
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")  # the second only if a repository lacks the first
EXTRA = "pretrained"


def need_packages(key: str) -> None:
    """Raises UserError if a package is missing; key: what asks for it."""
    for package in ("transformers", "peft"):
        need_extra(EXTRA, package, package, key)


@lru_cache(maxsize=8)
def locate(settings: PretrainedConfig) -> Path:
    """The folder with the model on this machine. Raises UserError."""
    need_packages("problem: pretrained")
    folder = _fetch(settings) if settings.on_hub and not Path(settings.model).is_dir() else Path(settings.model)
    if not folder.is_dir():
        raise UserError(f"pretrained.model: {settings.model}: is not a folder; name one that `save_pretrained` wrote")
    for needed in ("config.json", "tokenizer_config.json"):
        if not (folder / needed).is_file():
            raise UserError(f"pretrained.model: {settings.model}: lacks {needed}; copy all files of the model there")
    return folder


def digests(settings: PretrainedConfig) -> dict[str, str]:
    """The digest of each file that a model consists of. Raises UserError."""
    return {name: digest_of(file) for name, file in files_of(settings).items()}


def files_of(settings: PretrainedConfig, patterns: Iterable[str] = (*SMALL, *WEIGHTS)) -> dict[str, Path]:
    """The files that a model consists of, by name; patterns: which of them. Raises UserError."""
    folder = locate(settings)
    found = {file for pattern in patterns for file in folder.glob(pattern)}
    return {file.name: file for file in sorted(found)}


def name_of(settings: PretrainedConfig) -> str:
    """The name of a model among the inputs of a search."""
    return digest([settings.model, settings.revision])


def at_hand(config: FineTunedConfig, cache: Path) -> FineTunedConfig:
    """The configuration, with the folder of the model on a node to which it was brought."""
    folder = input_folder(name_of(config.pretrained), cache)
    values = {"pretrained.model": str(folder), "pretrained.revision": None} if folder.is_dir() else {}
    return config.with_values(values)


def _fetch(settings: PretrainedConfig) -> Path:
    """The folder in the cache of the Hub's package; nothing is asked for if it is there. Raises UserError."""
    from huggingface_hub import HfApi, snapshot_download

    name, commit = settings.model, settings.revision
    if commit is not None and (known := _cached(name, commit)):
        return known
    try:
        if commit is not None:
            safe = any(file.endswith(".safetensors") for file in HfApi().list_repo_files(name, revision=commit))
            return Path(snapshot_download(name, revision=commit, allow_patterns=[*SMALL, WEIGHTS[not safe]]))
        current = HfApi().model_info(name).sha
    except Exception as error:  # of the network, or of the Hub
        said = " ".join(str(error).split())[:300]
        raise UserError(
            f"pretrained.model: {name}: is not a folder, and can't be fetched from the Hugging Face Hub: {said}"
        ) from None
    raise UserError(
        f"pretrained.revision: {name} can change on the Hub; name the state that is meant; as it is now: {current}"
    )


def _cached(name: str, commit: str) -> Path | None:
    """The folder of a model that was fetched before; None if a file is missing."""
    from huggingface_hub import snapshot_download

    for weights in WEIGHTS:
        with suppress(Exception):  # it is incomplete, or not there
            wanted = [*SMALL, weights]
            folder = Path(snapshot_download(name, revision=commit, allow_patterns=wanted, local_files_only=True))
            if any(folder.glob(weights)):
                return folder
    return None
