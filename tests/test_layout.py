"""The shape of the code: imports run one way, and each outside framework has its own room."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {"model": 0, "trainables": 1, "search": 2}
ROOMS = {
    "ray": {
        "search.cluster.draining",
        "search.cluster.joining",
        "search.cluster.local_ray",
        "search.cluster.starting",
        "search.cluster.tune_plugins",
        "search.cluster.tuning",
        "search.cluster.watchdog",
        "search.finals.remotely",
        "trainables.base.ray_internals",
        "trainables.worker",
    },
    "wandb": {
        "search.tracking.wandb_runs",
        "search.tracking.wandb_online",
        "search.tracking.sweep_program",
        "search.tracking.wandb_file",
    },
    "wandb_workspaces": {"search.tracking.wandb_report"},
    "tensorboardX": {"search.tracking.tensorboard"},
    "optuna": {
        "search.api.result",
        "search.space.domain",
        "search.space.space",
        "search.record.optuna_internals",
        "search.record.quiet_optuna",
        "search.record.study_file",
        "search.record.study_writer",
        "search.record.trial",
        "search.engine.proposals",
        "search.finals.choosing",
        "search.samplers.optuna_samplers",
        "search.effects.fanova",
        "search.effects.importance",
    },
    "datasets": {"trainables.data.reading.published.hub"},
    "huggingface_hub": {"trainables.data.reading.published.hub", "trainables.pretrained.model_files"},
    "ctranslate2": {
        "trainables.export.ctranslate2_spec",
        "trainables.export.ctranslate2_translator",
        "trainables.pretrained.export",
        "trainables.timing.engines",
    },
    "transformers": {
        "trainables.export.huggingface",
        "trainables.pretrained.codec",
        "trainables.pretrained.export",
        "trainables.pretrained.network",
        "trainables.pretrained.quiet",
        "trainables.pretrained.trained",
    },
    "peft": {"trainables.pretrained.network"},
    "obstore": {"trainables.sharing.connection", "trainables.sharing.object_store"},
    "plotly": {
        "search.report.library",
    },
}


@cache
def modules() -> dict[str, ast.Module]:
    files = [file for package in FLOORS for file in (ROOT / package).rglob("*.py")]
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(file.read_text())
        for file in files
    }


@cache
def imports(tree: ast.Module) -> frozenset[str]:
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            folder = ROOT / node.module.replace(".", "/")
            inside = {f"{node.module}.{alias.name}" for alias in node.names if (folder / f"{alias.name}.py").exists()}
            names.update(inside or {node.module})
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return frozenset(names)


def test_no_package_imports_one_above_it() -> None:
    for name, tree in modules().items():
        for imported in imports(tree):
            floor = FLOORS.get(imported.split(".")[0])
            assert floor is None or floor <= FLOORS[name.split(".")[0]], f"{name} imports {imported}"


def test_imports_of_modules_make_no_circle() -> None:
    assert_no_circle({name: set(imports(tree)) for name, tree in modules().items()})


def test_imports_of_folders_make_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name, tree in modules().items():
        within = {imported for imported in imports(tree) if imported.split(".")[0] == name.split(".")[0]}
        graph.setdefault(unit(name), set()).update(unit(imported) for imported in within)
    assert_no_circle(graph)


def test_the_first_floor_of_search_has_the_command_line_alone() -> None:
    assert {file.name for file in (ROOT / "search").glob("*.py")} == {"__init__.py", "run.py"}


def unit(module: str) -> str:
    """search.cluster.tuning -> search.cluster; the text has folders of its own: trainables.data.reading."""
    return ".".join(module.split(".")[: 3 if module.startswith("trainables.data.") else 2])


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    state: dict[str, str] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert state.get(name) != "open", f"circle: {' -> '.join((*path, name))}"
        if name in state:
            return
        state[name] = "open"
        for imported in graph[name] & graph.keys() - {name}:
            visit(imported, (*path, name))
        state[name] = "done"

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("search.run", ["torch", "ray", "optuna", "scipy", "numpy"]),  # what every command costs
        ("search.engine.work", ["torch", "ray"]),
    ],
)
def test_what_takes_long_to_import_is_imported_late(module: str, absent: list[str]) -> None:
    program = f"import sys; import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not {*absent} & {*done.stdout.split()}


def test_each_framework_is_imported_in_its_rooms_alone() -> None:
    for name, tree in modules().items():
        used = {imported.split(".")[0] for imported in imports(tree)}
        for framework, rooms in ROOMS.items():
            assert framework not in used or name in rooms, f"{name} imports {framework}"


def test_private_names_of_frameworks_lie_in_files_of_their_own() -> None:
    using = {name for name, tree in modules().items() if private_names(tree)}
    own = {
        "model.packing",
        "search.record.optuna_internals",
        "trainables.acceleration.torch_internals",
        "trainables.base.ray_internals",
    }
    assert using <= own, "these have a test for each name"
    assert own <= modules().keys()


def private_names(tree: ast.Module) -> list[str]:
    """What a module takes of Ray, Optuna and PyTorch under a name that begins with an underscore."""
    paths, bound = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                path = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
                if path.split(".")[0] in ("ray", "optuna", "torch"):
                    paths.append(path)
                    bound.add(alias.asname or alias.name.split(".")[0])
    private = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")]
    attributes = [ast.unparse(node) for node in private]
    paths += [text for text in attributes if re.split(r"\W", text)[0] in bound]
    return [path for path in paths if re.search(r"\._(?!_)", path)]


@pytest.mark.parametrize("code", ["import ray\nray._private.x", "from torch._C import x", "from optuna import _x"])
def test_a_private_name_is_found(code: str) -> None:
    assert private_names(ast.parse(code)) and not private_names(ast.parse(code.replace("_", "")))


def test_no_file_of_search_shadows_an_installed_module() -> None:
    # `python search/run.py` puts search/ first on sys.path.
    from importlib.metadata import packages_distributions

    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    assert not {entry.stem for entry in (ROOT / "search").iterdir() if entry.suffix in ("", ".py")} & taken - {
        "search",
        "__init__",
    }
