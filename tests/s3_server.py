"""moto's S3 as a program: writes one at a time, as moto checks a condition and writes unlocked; some arrive late.

python tests/s3_server.py --host 127.0.0.1 --port 5000 [--late 0.3 --seconds 1.5]
"""

import argparse
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Writes:
    """Lets one write at a time through to the application, `late` of them (0 to 1) up to `seconds` after it came."""

    def __init__(self, application: Application, late: float, seconds: float):
        self.application, self.late, self.seconds = application, late, seconds
        self.random, self.lock = random.Random(0), threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return self.application(environ, start_response)
        if self.random.random() < self.late:
            time.sleep(self.random.uniform(0, self.seconds))
        with self.lock:
            return self.application(environ, start_response)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    application = Writes(DomainDispatcherApplication(create_backend_app), options.late, options.seconds)
    run_simple(options.host, options.port, application, threaded=True)


if __name__ == "__main__":
    main()
