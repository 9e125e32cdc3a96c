"""A stand-in for the W&B server on the loopback, as far as the real client calls it: GraphQL, file stream, uploads.

It proves what the client sends, not what the real service makes of it (`make test-wandb-online` does that). A request
that it does not know is answered with an error and kept in `unknown`.
"""

import base64
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import yaml

KEY = "standin" * 6  # as long as a real one
ENTITY = "lab"
Fault = Literal["wrong key", "429", "500", "hang"]


@dataclass
class ServedRun:
    """What the server has of one W&B run."""

    name: str  # its id in addresses
    project: str
    display_name: str = ""
    group: str = ""
    job_type: str = ""
    sweep: str = ""
    notes: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    state: str = "running"
    starts: int = 0  # how often a client began or resumed it

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The history without the client's own fields."""
        return [{key: value for key, value in line.items() if key[0] != "_"} for line in self.history]


@dataclass
class ServedSweep:
    name: str
    project: str
    config: dict[str, Any]
    controller: dict[str, Any]
    state: str = "RUNNING"
    pending: list[dict[str, Any]] = field(default_factory=list)  # what agents are still to run
    handed: int = 0


class WandbServer:
    """All that clients sent, and what they are answered."""

    def __init__(self) -> None:
        self.runs: dict[str, ServedRun] = {}
        self.sweeps: dict[str, ServedSweep] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self.agents: dict[str, str] = {}  # id -> sweep
        self.projects: set[str] = set()
        self.unknown: list[str] = []
        self.requests = 0
        self.fault: Fault | None = None
        self.fails_after: int | None = None  # so many requests
        self.later_fault: Fault | None = None
        self.lock = threading.RLock()
        self.released = threading.Event()  # ends what hangs
        self.url = ""

    # -- GraphQL, by the name of the operation

    def answer(self, operation: str, values: dict[str, Any]) -> dict[str, Any] | None:
        method = getattr(self, f"_answer_{operation}", None)
        with self.lock:
            return None if method is None else method(values)

    def _answer_ServerFeaturesQuery(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _answer_Viewer(self, values: dict[str, Any]) -> dict[str, Any]:
        who = {"id": "1", "entity": ENTITY, "username": "ada", "email": "ada@example.org", "flags": "{}", "name": "Ada"}
        return {"viewer": {**who, "admin": False, "deletedAt": None, "apiKeys": _edges([]), "teams": _edges([])}}

    _answer_GetViewer = _answer_Viewer

    def _answer_GetDefaultEntity(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "1", "entity": ENTITY}}

    def _answer_OrganizationCoreWeaveOrganizationID(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def _answer_RunResumeStatus(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(values["name"])
        if run is None:
            bucket = None
        else:
            bucket = {
                "id": run.name,
                "name": run.name,
                "summaryMetrics": json.dumps(run.summary),
                "displayName": run.display_name,
                "logLineCount": 0,
                "historyLineCount": len(run.history),
                "eventsLineCount": len(run.events),
                "historyTail": json.dumps([json.dumps(line) for line in run.history[-1:]]),
                "eventsTail": json.dumps([json.dumps(line) for line in run.events[-1:]]),
                "config": json.dumps(run.config),
                "tags": run.tags,
                "notes": run.notes,
                "wandbConfig": json.dumps({"t": 1}),
            }
        return {"model": {"id": "1", "name": values["project"], "entity": _ENTITY, "bucket": bucket}}

    def _answer_UpsertBucket(self, values: dict[str, Any]) -> dict[str, Any]:
        self.projects.add(values["project"])
        inserted = values["name"] not in self.runs
        run = self.runs.setdefault(values["name"], ServedRun(values["name"], values["project"]))
        for key, attribute in (
            ("displayName", "display_name"),
            ("groupName", "group"),
            ("jobType", "job_type"),
            ("sweep", "sweep"),
            ("notes", "notes"),
            ("tags", "tags"),
        ):
            if values.get(key):
                setattr(run, attribute, values[key])
        if values.get("config"):
            run.config = json.loads(values["config"])
        if values.get("summaryMetrics"):
            run.summary |= json.loads(values["summaryMetrics"])
        if values.get("host"):  # only a start has it
            run.starts += 1
            run.state = "running"
        bucket = {
            "id": run.name,
            "name": run.name,
            "displayName": run.display_name,
            "description": None,
            "config": json.dumps(run.config),
            "sweepName": run.sweep or None,
            "project": {"id": "1", "name": run.project, "entity": _ENTITY},
            "historyLineCount": len(run.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _answer_CreateRunFiles(self, values: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/put/{values['run']}/{name}"} for name in values["files"]]
        return {"createRunFiles": {"runID": values["run"], "uploadHeaders": [], "files": files}}

    def _answer_MarkRunFilesUploaded(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"markRunFilesUploaded": {"success": True}}

    def _answer_RunStoppedStatus(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"run": {"stopped": False}}}

    def _answer_Runs(self, values: dict[str, Any]) -> dict[str, Any]:
        wanted = json.loads(values["filters"] or "{}")
        assert set(wanted) <= {"group"}, wanted
        runs = [run for run in self.runs.values() if run.group == wanted.get("group", run.group)]
        nodes: list[dict[str, Any]] = [
            {
                "id": run.name,
                "projectId": "1",
                "name": run.name,
                "displayName": run.display_name,
                "sweepName": run.sweep or None,
                "state": run.state,
                "group": run.group,
                "jobType": run.job_type,
                "tags": run.tags,
                "notes": run.notes,
                "description": None,
                "commit": None,
                "readOnly": False,
                "createdAt": "2026-01-01T00:00:00",
                "heartbeatAt": "2026-01-01T00:00:00",
                "user": {"name": "Ada", "username": "ada"},
                "historyLineCount": len(run.history),
                "historyKeys": {"lastStep": run.history[-1]["_step"] if run.history else -1, "keys": {}},
                "config": json.dumps(run.config),
                "summaryMetrics": json.dumps(run.summary),
                "systemMetrics": "{}",
            }
            for run in runs
        ]
        project = {"internalId": "1", "runCount": len(nodes), "readOnly": False, "runs": _edges(nodes)}
        return {"project": project if values["project"] in self.projects else None}

    def _answer_RunSampledHistory(self, values: dict[str, Any]) -> dict[str, Any]:
        keys = [json.loads(spec)["keys"] for spec in values["specs"]]
        rows = self.runs[values["name"]].history
        sampled = [[{key: row[key] for key in wanted if key in row} for row in rows] for wanted in keys]
        return {"project": {"run": {"sampledHistory": sampled}}}

    def _answer_GetSweep(self, values: dict[str, Any]) -> dict[str, Any]:
        sweep = self.sweeps[values["name"]]
        shown = {"__typename": "Sweep", "id": sweep.name, "name": sweep.name, "method": sweep.config["method"]}
        shown |= {"state": sweep.state, "config": yaml.safe_dump(sweep.config), "createdAt": "2026-01-01T00:00:00"}
        empty = ("displayName", "description", "bestLoss", "updatedAt", "runCountExpected")
        return {"project": {"sweep": shown | dict.fromkeys(empty) | {"runCount": 0}}}

    def _answer_UpsertSweep(self, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("id")
        if not name:
            name = f"sweep{len(self.sweeps)}"
            self.projects.add(values["projectName"])
            config = yaml.safe_load(values["config"])
            controller = json.loads(values.get("controller") or "{}")
            self.sweeps[name] = ServedSweep(name, values["projectName"], config, controller)
        if values.get("state"):
            self.sweeps[name].state = values["state"]
        project = {"id": "1", "name": self.sweeps[name].project, "entity": _ENTITY}
        return {"upsertSweep": {"sweep": {"name": name, "project": project}, "configValidationWarnings": []}}

    def _answer_SweepWithRuns(self, values: dict[str, Any]) -> dict[str, Any]:
        sweep = self.sweeps.get(values["sweep"])
        if sweep is None:
            return {"project": {"sweep": None}}
        shown = {
            "id": sweep.name,
            "name": sweep.name,
            "method": sweep.config["method"],
            "state": sweep.state,
            "config": yaml.safe_dump(sweep.config),
            "controller": json.dumps(sweep.controller),
            "runs": _edges([]),
        }
        empty = ("description", "createdAt", "heartbeatAt", "updatedAt", "earlyStopJobRunning", "bestLoss", "scheduler")
        return {"project": {"sweep": shown | dict.fromkeys(empty)}}

    def _answer_GetSweepState(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"sweep": {"state": self.sweeps[values["sweep"]].state}}}

    def _answer_CreateAgent(self, values: dict[str, Any]) -> dict[str, Any]:
        agent = f"agent{len(self.agents)}"
        self.agents[agent] = values["sweep"]
        return {"createAgent": {"agent": {"id": agent}}}

    def _answer_Heartbeat(self, values: dict[str, Any]) -> dict[str, Any]:
        sweep = self.sweeps[self.agents[values["id"]]]
        commands: list[dict[str, Any]] = []
        if not json.loads(values["runState"]):  # idle: the next run, or the end
            if sweep.pending:
                sweep.handed += 1
                args = {key: {"value": value} for key, value in sweep.pending.pop(0).items()}
                run = {"run_id": f"{sweep.name}-{sweep.handed}", "args": args, "program": sweep.config["program"]}
                commands.append({"type": "run", **run})
            else:
                sweep.state = "FINISHED"
                commands.append({"type": "exit"})
        return {"agentHeartbeat": {"agent": {"id": values["id"]}, "commands": json.dumps(commands)}}

    def _answer_GetProjects(self, values: dict[str, Any]) -> dict[str, Any]:
        common = {"id": "1", "entityName": ENTITY, "createdAt": "2026-01-01T00:00:00", "isBenchmark": False}
        nodes: list[dict[str, Any]] = [common | {"name": name, "user": None} for name in sorted(self.projects)]
        return {"models": _edges(nodes)}

    def _answer_ProjectInternalId(self, values: dict[str, Any]) -> dict[str, Any]:
        found = values["projectName"] in self.projects
        return {"project": {"id": "1", "internalId": "1"} if found else None}

    def _answer_upsertView(self, values: dict[str, Any]) -> dict[str, Any]:
        number = values["id"] or base64.b64encode(f"View:{len(self.reports)}".encode()).decode().rstrip("=")
        self.reports[number] = {**values, "id": number, "spec": json.loads(values["spec"])}
        view = {
            "id": number,
            "type": values["type"],
            "name": values["name"],
            "displayName": values["displayName"],
            "description": values["description"],
            "project": {"id": "1", "name": values["projectName"], "entityName": values["entityName"]},
            "spec": values["spec"],
            "updatedAt": "2026-01-01T00:00:00",
        }
        return {"upsertView": {"view": view, "inserted": not values["id"]}}

    # -- the file stream and uploads

    def stream(self, name: str, body: dict[str, Any]) -> None:
        with self.lock:
            run = self.runs[name]
            for file, part in body.get("files", {}).items():
                if file == "wandb-history.jsonl":
                    run.history[part["offset"] :] = map(json.loads, part["content"])
                elif file == "wandb-events.jsonl":
                    run.events[part["offset"] :] = map(json.loads, part["content"])
                elif file == "wandb-summary.json":
                    run.summary = json.loads(part["content"][-1])
            if body.get("complete"):
                run.state = "finished" if body["exitcode"] == 0 else "failed"


_ENTITY = {"id": "1", "name": ENTITY}


def _edges(nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    edges = [{"node": node, "cursor": str(number)} for number, node in enumerate(nodes)]
    return {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False, "hasPreviousPage": False}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: WandbServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._faulty():
            return
        if self.path == "/graphql":
            request = json.loads(body)
            found = re.search(r"\b(?:query|mutation)\s+(\w+)", request["query"])
            operation = found[1] if found else "?"
            data = self.served.answer(operation, request.get("variables") or {})
            if data is None:
                self.served.unknown.append(request["query"])
                self._reply(200, {"errors": [{"message": f"stand-in: {operation} is unknown"}]})
            else:
                self._reply(200, {"data": data})
        elif match := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            self.served.stream(match[1], json.loads(body))
            self._reply(200, {})
        else:
            self.served.unknown.append(self.path)
            self._reply(404, {})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._faulty():
            return
        _, _, run, name = self.path.split("/", 3)
        with self.served.lock:
            self.served.runs[run].files[name] = body
        self._reply(200, {})

    def do_GET(self) -> None:
        if not self._faulty():
            self.served.unknown.append(self.path)
            self._reply(404, {})

    def _faulty(self) -> bool:
        """Whether the request was answered with the fault that is set, or with that of its key."""
        with self.served.lock:
            if self.served.requests == self.served.fails_after:
                self.served.fault = self.served.later_fault
            self.served.requests += 1
        fault = self.served.fault
        right = base64.b64encode(f"api:{KEY}".encode()).decode()
        if self.path == "/graphql" and not self.headers.get("Authorization", "").endswith(right):
            fault = fault or "wrong key"
        if fault == "hang":
            self.served.released.wait()
            self.close_connection = True
        elif fault is not None:
            self._reply({"wrong key": 401, "429": 429, "500": 500}[fault], {"errors": [{"message": fault}]})
        return fault is not None

    def _reply(self, status: int, data: dict[str, Any]) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client may close a connection."""


@contextmanager
def serve() -> Iterator[WandbServer]:
    """A server of its own on a free port, for as long as the block runs."""
    served = WandbServer()
    http = _Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"served": served}))
    served.url = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield served
    finally:
        served.released.set()
        http.shutdown()
        http.server_close()


if __name__ == "__main__":  # by hand: python tests/wandb_server.py
    with serve() as server:
        print(f"export WANDB_BASE_URL={server.url} WANDB_API_KEY={KEY}", flush=True)
        while True:
            time.sleep(5)
            print(f"{server.requests} requests, {len(server.runs)} runs, unknown: {server.unknown}", flush=True)
