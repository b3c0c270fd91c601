"""Execute the notebooks and store their outputs in them: `make notebooks`, or `python notebooks/execute.py 01_line`."""

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
TEMPORARY = re.compile(re.escape(tempfile.gettempdir()) + r"/tmp\w+")
PACKAGES = re.compile(r"/\S+/site-packages/")  # of this machine


def execute(path: Path) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a run in its own kernel.

    Raises:
        CellExecutionError: a cell raised an exception.
    """
    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)  # the kernel adds its version
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
    ).execute()
    notebook.metadata = metadata
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "text" in output:
            output.text = PACKAGES.sub("site-packages/", TEMPORARY.sub("/tmp/notebook", output.text))
    return notebook


if __name__ == "__main__":
    for file in [HERE / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        nbformat.write(execute(file), file)
        print(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB")
