"""The tutorials run from the first cell to the last. A named slow suite, with its own requirements:

    python -m venv tutorials && tutorials/bin/pip install . -r docs/notebooks/requirements.txt
    tutorials/bin/pytest python/tests/notebooks
"""

import pathlib

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).resolve().parents[3] / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) > 5
    client = nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    client.execute()
