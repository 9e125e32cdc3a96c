"""Tells Ray that a spot machine is about to be taken away, so that its trials continue elsewhere.

python -m search.cluster.spot_notice CLOUD    beside `ray start` on each worker; CLOUD is aws or gcp
"""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

from search.cluster.draining import drain

POLL_SECONDS = 5.0
GCP_SECONDS = 30  # from notice to end
AWS, GCP = "http://169.254.169.254", "http://metadata.google.internal"


def aws_seconds(service: str = AWS) -> float | None:
    """The seconds until EC2 takes this machine away; None without a notice. Raises OSError."""
    token = _ask(f"{service}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    try:
        action = _ask(f"{service}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    end = datetime.strptime(json.loads(action)["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return max(0.0, (end - datetime.now(UTC)).total_seconds())


def gcp_seconds(service: str = GCP) -> float | None:
    """The seconds until Compute Engine takes this machine away; None without a notice. Raises OSError."""
    answer = _ask(f"{service}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return GCP_SECONDS if answer == "TRUE" else None


def wait_for_notice(seconds_left: Callable[[], float | None], poll: float = POLL_SECONDS) -> float:
    """Wait for a notice. Returns the seconds that are left. A service that does not answer is asked again."""
    while True:
        try:
            if (left := seconds_left()) is not None:
                return left
        except OSError as error:
            print(f"spot_notice: {error}", flush=True)
        time.sleep(poll)


def _ask(url: str, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(url, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


if __name__ == "__main__":
    left = wait_for_notice({"aws": aws_seconds, "gcp": gcp_seconds}[sys.argv[1]])
    drain(left, "the cloud takes this machine away")
