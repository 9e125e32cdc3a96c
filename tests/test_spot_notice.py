"""A spot machine that is about to be taken away: what the clouds say, and that Ray is told in time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from search.cluster.spot_notice import aws_seconds, gcp_seconds, wait_for_notice

AWS_TOKEN, AWS_NOTICE = "/latest/api/token", "/latest/meta-data/spot/instance-action"
GCP_NOTICE = "/computeMetadata/v1/instance/preempted"


@contextmanager
def cloud(answers: dict[str, str], header: tuple[str, str]) -> Iterator[str]:
    """A metadata service: paths and what they answer, to requests that carry the header; others are refused."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(f"{self.command} {self.path}")
            allowed = self.command == "PUT" or self.headers.get(header[0]) == header[1]
            self.send_response(404 if found is None else 200 if allowed else 401)
            self.end_headers()
            self.wfile.write((found or "").encode())

        do_PUT = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_notice_of_each_cloud_is_read() -> None:
    answers = {f"PUT {AWS_TOKEN}": "abc"}
    with cloud(answers, ("X-aws-ec2-metadata-token", "abc")) as service:
        assert aws_seconds(service) is None
        end = datetime.now(UTC) + timedelta(seconds=100)
        answers[f"GET {AWS_NOTICE}"] = f'{{"action": "terminate", "time": "{end:%Y-%m-%dT%H:%M:%SZ}"}}'
        assert aws_seconds(service) == pytest.approx(100, abs=5)
    answers = {f"GET {GCP_NOTICE}": "FALSE"}
    with cloud(answers, ("Metadata-Flavor", "Google")) as service:
        assert gcp_seconds(service) is None
        answers[f"GET {GCP_NOTICE}"] = "TRUE"
        assert gcp_seconds(service) == 30


def test_a_service_that_fails_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([OSError("unreachable"), None, 7.0])

    def seconds_left() -> float | None:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert wait_for_notice(seconds_left, poll=0.001) == 7.0
    assert "unreachable" in capsys.readouterr().out
