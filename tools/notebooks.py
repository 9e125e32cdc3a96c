"""Runs the notebook of examples/ and keeps its outputs (`make notebook`), and makes a page of the site from it."""

import json
import sys
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def execute(file: Path, folder: Path, **values: Any) -> Any:
    """The notebook with the outputs of a run in the folder; values: replacements for names in its first code cell."""
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = nbformat.read(file, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = "\n".join([first.source, *(f"{name} = {value!r}" for name, value in values.items())])
    with tempfile.TemporaryDirectory() as sockets:  # a folder that other users can't enter
        client = NotebookClient(
            notebook,
            timeout=3600,
            startup_timeout=600,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
        )
        client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of this machine
        if cell.cell_type == "code":  # warnings of this installation
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def page(file: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by their names in the page."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", ())})
            if "image/png" in data:
                name = f"{file.stem}-{len(pictures) + 1}.png"
                pictures[name] = b64decode(data["image/png"])
                parts.append(f"![{''.join(data['text/plain'])}]({name})")
            elif "text/html" in data:
                parts.append("".join(data["text/html"]).replace('<table border="1" class="dataframe">', "<table>"))
            else:
                parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


def main() -> int:
    """Run the notebook in an empty folder, whose path does not appear in the outputs."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        text = nbformat.writes(execute(FILE, place)).replace(f"{place}/", "")
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
