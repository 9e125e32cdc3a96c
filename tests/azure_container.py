"""A container in Azurite, Microsoft's emulator of Azure's blobs: made by the REST API, signed as it asks."""

import base64
import hashlib
import hmac
import time
import urllib.request
from email.utils import formatdate
from urllib.error import URLError

ACCOUNT = "devstoreaccount1"  # Azurite's own, with a key that is public
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-08-06"


def make_container(endpoint: str, name: str) -> None:
    """Waits up to a minute for the emulator to listen."""
    date = formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:{VERSION}\n"
    signed = "PUT" + "\n" * 12 + headers + f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
    request = urllib.request.Request(f"{endpoint}/{name}?restype=container", method="PUT")
    request.add_header("x-ms-date", date)
    request.add_header("x-ms-version", VERSION)
    request.add_header("Authorization", f"SharedKey {ACCOUNT}:{signature}")
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(request).close()
            return
        except URLError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
