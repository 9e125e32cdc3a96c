"""An S3 of our own: moto's server in a process of its own (s3_server.py), with a bucket."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import boto3
from botocore.exceptions import EndpointConnectionError

BUCKET = "babeltune"


def environment(endpoint: str) -> dict[str, str]:
    """What a process needs to reach it."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-store",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def free_port(address: str = "127.0.0.1") -> int:
    with create_server((address, 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def object_store(address: str = "127.0.0.1", *options: str) -> Iterator[dict[str, str]]:
    """The environment that reaches it, for as long as the block runs. options: of s3_server.py."""
    port = free_port(address)
    server_file = Path(__file__).with_name("s3_server.py")
    command = [sys.executable, str(server_file), "--host", address, "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            reach = environment(f"http://{address}:{port}")
            make_bucket(reach)
            yield reach
        finally:
            server.kill()


def make_bucket(reach: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            boto3.client(
                "s3",
                endpoint_url=reach["AWS_ENDPOINT_URL"],
                aws_access_key_id=reach["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=reach["AWS_SECRET_ACCESS_KEY"],
                region_name=reach["AWS_DEFAULT_REGION"],
            ).create_bucket(Bucket=BUCKET)
            return
        except EndpointConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
