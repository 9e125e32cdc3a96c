"""The connection of a process to a bucket: its address, the settings in the environment, the keys in ~/.aws."""

import os
import re
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trainables.base.errors import StorageFails
from trainables.base.extras import missing_extra

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PROTOCOLS = ("s3", "gs", "az", "file", "memory")
RETRIES = {"max_retries": 5, "retry_timeout": timedelta(seconds=20)}


def connect(url: str) -> tuple["ObjectStore", str]:
    """The bucket of a URL, and what precedes each key in it, ending with a slash. Raises StorageFails."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StorageFails(f"storage: {url}: is not an address: {error}") from None
    if parts.scheme not in PROTOCOLS:
        known = ", ".join(f"{protocol}://" for protocol in PROTOCOLS)
        raise StorageFails(f"storage: {url}: unknown protocol; known are {known}")
    try:
        return _bucket(f"{parts.scheme}://{parts.netloc}", _settings()), f"{parts.path.strip('/')}/".lstrip("/")
    except ImportError:
        raise StorageFails(f"storage: {url}: {missing_extra('storage', 'obstore')}") from None
    except (obstore_error(), ValueError) as error:  # settings in the environment that make no sense
        raise StorageFails(
            f"storage: {url}: {server_words(error)}; settings come from the environment (docs/cluster.md)"
        ) from None


def _settings() -> tuple[tuple[str, str], ...]:
    """The settings of the clouds in the environment."""
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(("AWS_", "AZURE_", "GOOGLE_"))))


@lru_cache
def _bucket(bucket: str, settings: tuple[tuple[str, str], ...]) -> "ObjectStore":
    """The connection of this process to a bucket; obstore reads the settings itself."""
    from obstore.store import from_url

    protocol = bucket.partition("://")[0]
    if protocol in ("file", "memory"):
        return from_url(f"{protocol}:///")
    # obstore needs permission for an address without encryption; a user who sets one gives it.
    plain = any(value.startswith("http://") for name, value in settings if "ENDPOINT" in name or "BASE_URL" in name)
    options: dict[str, Any] = {"client_options": {"allow_http": plain}, "retry_config": RETRIES}
    if protocol == "s3" and _has_aws_profile():
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider()
    return from_url(bucket, **options)


def _has_aws_profile() -> bool:
    """Whether the keys are in ~/.aws, which boto3 reads and obstore does not. Raises StorageFails without boto3."""
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    if "AWS_ACCESS_KEY_ID" in os.environ or not ("AWS_PROFILE" in os.environ or file.is_file()):
        return False
    try:
        import boto3  # noqa: F401
    except ImportError:
        raise StorageFails(f"{file}: {missing_extra('aws', 'boto3')}") from None
    return True


def obstore_error() -> type[Exception]:
    """The class of all errors that obstore raises."""
    from obstore.exceptions import BaseError

    return BaseError


def server_words(error: BaseException) -> str:
    """The part of an error for people: the server's own sentence, if there is one."""
    text = str(error).partition("Debug source")[0]
    said = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    return " ".join((said[1] if said else text).split())[:300]
