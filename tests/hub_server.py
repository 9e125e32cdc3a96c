"""A Hugging Face Hub on this machine, with one corpus or model: what its packages ask of one, and no more."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal

REVISION = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve_hub(
    repository: str, files: Mapping[str, bytes], kind: Literal["datasets", "models"] = "datasets"
) -> Iterator[tuple[str, list[str]]]:
    """The address of the Hub, and what is asked of it."""
    asked: list[str] = []
    place = f"/datasets/{repository}" if kind == "datasets" else f"/{repository}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if tree := re.fullmatch(rf"/api/{kind}/{repository}/tree/\w+/?(.*)", path):
                self._send_json(listed(tree[1]))
            elif re.fullmatch(rf"/api/{kind}/{repository}(/revision/\w+)?", path):
                self._send_json(
                    {
                        "id": repository,
                        "sha": REVISION,
                        "private": False,
                        "tags": [],
                        "siblings": [{"rfilename": name} for name in files],
                    }
                )
            elif (name := path.partition(f"{place}/resolve/{REVISION}/")[2]) in files:
                self._send(200, files[name], body, {"ETag": f'"{blob(name)}"', "X-Repo-Commit": REVISION})
            else:
                self._send(404, b"", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": REVISION})

        def _send_json(self, value: Any) -> None:
            self._send(200, json.dumps(value).encode(), headers={"Content-Type": "application/json"})

        def _send(self, code: int, content: bytes, body: bool = True, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def blob(name: str) -> str:
        return hashlib.sha1(files[name]).hexdigest()

    def entry(name: str) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(files[name]), "oid": blob(name)}

    def listed(folder: str) -> list[dict[str, Any]]:
        """What lies in a folder, whose own name is empty at the top."""
        names = [name.removeprefix(f"{folder}/") for name in files if name.startswith(f"{folder}/" if folder else "")]
        folders = {name.partition("/")[0] for name in names if "/" in name}
        return [
            *(
                {"type": "directory", "path": f"{folder}/{name}".lstrip("/"), "oid": "0" * 40}
                for name in sorted(folders)
            ),
            *(entry(f"{folder}/{name}".lstrip("/")) for name in names if "/" not in name),
        ]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
