"""The notebook runs from top to bottom."""

import os
import pathlib
import shutil
import sys

import nbclient
import nbformat
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder like examples/, where TensorBoard keeps to itself."""
    (tmp_path / "data").symlink_to(EXAMPLES / "data")
    shutil.copy(EXAMPLES / "quickstart.ipynb", tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # Where the notebook finds the `tensorboard` of this environment.
    programs = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", programs + os.pathsep + os.environ["PATH"])
    return tmp_path


def test_quickstart_notebook(workplace):
    notebook = nbformat.read(workplace / "quickstart.ipynb", as_version=4)
    assert len(notebook.cells) == 10
    nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(workplace)}},
    ).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    text = "".join(output.get("text", "") for output in outputs)
    before, after = (
        float(text.split(when)[1].split()[0])
        for when in ("before training", "after fine-tuning")
    )
    assert before < 0.3 and after > 0.5
    assert list(workplace.glob("logs/quickstart/train/events*"))
    pages = [output.get("data", {}).get("text/html", "") for output in outputs]
    assert any("tensorboard-frame" in page for page in pages)
