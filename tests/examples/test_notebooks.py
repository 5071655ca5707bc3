"""The notebooks run from top to bottom, and show what their prose says."""

import json
import os
import pathlib
import re
import shutil
import sys
import time
import urllib.request

import nbclient
import nbformat
import psutil
import pytest

import keras_transfer as kt

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NAMES = (
    "quickstart",
    "fine_tuning_strategies",
    "tensorflow_hub_in_keras3",
    "reading_the_board",
    "keeping_what_it_knew",
)
# What TensorFlow says of the machine when it is imported; no setting stops it.
NATIVE_LOG = re.compile(
    r"(WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:)"
)
PATHS = re.compile(r"(?<![\w.:/])/(home|root|tmp|usr|var|Users)/|site-packages")
MOST_BYTES = 450_000


class Executed:
    """A notebook that has run, and what TensorBoard said meanwhile."""

    def __init__(self, notebook, boards):
        self.notebook, self.boards = notebook, boards

    def text_of(self, source):
        """Return what the only cell that holds a piece of code has printed."""
        return text_of(self.find(source))

    def find(self, source):
        [cell] = [c for c in code_cells(self.notebook) if source in c.source]
        return cell

    def count_pictures(self, source):
        return sum(
            "image/png" in output.get("data", {})
            for output in self.find(source).outputs
        )


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell, kind=None):
    """Return what a cell shows as text: all of it, or of one stream."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream" and kind in (None, output.name):
            parts.append(output.text)
        elif kind is None:
            data = output.get("data", {})
            parts.append(data.get("text/markdown", data.get("text/plain", "")))
    return "\n".join(parts)


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Run a notebook in a folder like examples/, where nothing else is."""
    (tmp_path / "data").symlink_to(EXAMPLES / "data")
    # There TensorBoard leaves word of its processes.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # Where the notebook finds the `tensorboard` of this environment.
    programs = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", programs + os.pathsep + os.environ["PATH"])
    # With it, the kernel would not show what C++ writes to stderr.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    started = {}

    def run(name):
        shutil.copy(EXAMPLES / f"{name}.ipynb", tmp_path)
        notebook = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4)
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
        boards = []

        def look_at_board(cell, cell_index, execute_reply):
            if "%tensorboard" in cell.source:
                files = (tmp_path / ".tensorboard-info").glob("*.info")
                [info] = [json.loads(file.read_text()) for file in files]
                started[info["pid"]] = psutil.Process(info["pid"])
                boards.append(read_runs(info["port"]))

        nbclient.NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
            on_cell_executed=look_at_board,
        ).execute()
        check_outputs(notebook)
        return Executed(notebook, boards)

    yield run
    for process in started.values():
        # The kernel ends its children, unless it was killed itself.
        if process.is_running():
            process.kill()


def read_runs(port):
    """Ask a TensorBoard for its runs, once it has read them."""
    # Whatever proxies there are, this is not for them.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 60
    runs = []
    while not runs and time.monotonic() < end:
        time.sleep(0.2)
        with opener.open(f"http://localhost:{port}/data/runs") as answer:
            runs = json.load(answer)
    return set(runs)


def check_outputs(notebook):
    """Check that nothing is shown that is not for the reader."""
    for cell in code_cells(notebook):
        errors = text_of(cell, "stderr").splitlines()
        assert not [line for line in errors if not NATIVE_LOG.match(line)]
        shown = re.sub(NATIVE_LOG.pattern + ".*", "", text_of(cell))
        assert not PATHS.search(shown), shown
        assert sys.prefix not in shown and os.path.expanduser("~") not in shown
        if "%tensorboard" in cell.source:
            [page] = [o.data for o in cell.outputs if "data" in o]
            assert "tensorboard-frame" in page["text/html"]


def numbers(pattern, text):
    return [float(found) for found in re.findall(pattern, text)]


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_are_of_one_run(name):
    path = EXAMPLES / f"{name}.ipynb"
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    cells = code_cells(notebook)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    for cell in notebook.cells:
        assert not cell.metadata
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            assert "tensorboard-frame" not in str(output)
        assert not PATHS.search(text_of(cell))


def test_every_notebook_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == set(NAMES)


def test_quickstart(execute):
    done = execute("quickstart")
    assert "585 images of 14 classes" in done.text_of("load_image_folder")
    for source in ("load_image_folder", "axvline", "decode_predictions"):
        assert done.count_pictures(source) == 1
    summary = done.text_of("build_classifier").splitlines()
    assert summary[-1].startswith("trainable: 17,934 || all: 3,")
    assert re.search(r"head +\d+ +17,934 +17,934 +trains", "\n".join(summary))
    lines = done.text_of("kt.fine_tune(")
    assert lines.count("val_accuracy") == 8
    report = done.text_of("print(result.report)")
    before, head, after = numbers(r"(?m)^(?:before|after) .*?(0\.\d+)", report)
    assert before < 0.3 and head > 0.45 and after >= head
    kept = done.text_of("model.save")
    assert "beverage, bird, boat" in kept
    [difference] = numbers(r"after reloading: (\S+)", kept)
    assert difference == 0
    assert done.boards[0] >= {"train", "validation"}


def test_fine_tuning_strategies(execute):
    done = execute("fine_tuning_strategies")
    shares = [
        float(share)
        for share in re.findall(
            r"trainable: .* \|\| (\S+) %", done.text_of('"top:2")\nprint')
        )
    ]
    # "half a per cent of the weights, and with two more groups it is 44 %"
    assert shares == [0.52, 43.69]
    plans = done.text_of("kt.strategies.extraction(")
    assert re.findall(r"top:\d", plans) == ["top:4", "top:1", "top:2"]
    names = ["extraction", "fine_tuning", "gradual", "auto"]
    text = done.text_of("results[name] = kt.fine_tune(")
    accuracies = numbers(r"accuracy (0\.\d+)", text)
    assert len(accuracies) == 4 and min(accuracies) > 0.3
    assert re.search(r"chosen a learning rate of \d", text)
    table = done.text_of("kt.compare_runs(").splitlines()
    rows = [line.split()[0] for line in table if re.search(r" s$", line)]
    assert rows == names
    assert done.count_pictures("kt.compare_runs(") == 1
    fit = done.text_of("kt.GradualUnfreezing(phases)")
    assert "Phase 1 of 2, head: head train (17,934 of" in fit
    assert "Phase 2 of 2, top:2: block_15 to head train (1,498,894 of" in fit
    drifts = numbers(r"by (\d+)%", done.text_of("drift_at_rate_0(guide)"))
    assert drifts[0] >= 5 and drifts[1] == 0
    assert done.boards[0] >= {f"{name}/train" for name in names}


def test_tensorflow_hub_in_keras3(execute):
    done = execute("tensorflow_hub_in_keras3")
    assert "saved_model.pb" in done.text_of("tf.saved_model.save(")
    broken = done.text_of("hub.KerasLayer(HANDLE)])")
    assert "sequential: ValueError: Only instances of `keras.Layer`" in broken
    assert re.search(r"functional: \w+Error: .*KerasTensor", broken, re.DOTALL)
    frozen = done.text_of("hub_layer = kt.HubLayer(HANDLE)")
    assert "0 of the module's 245 variables have moved." in frozen
    assert numbers(r"val_accuracy: (\S+)", frozen)[-1] > 0.4
    tuned = done.text_of('trainable="block_16|top_"')
    assert "12 variables of the module train." in tuned
    [moved] = re.findall(r"^Moved: (.*)", tuned, re.MULTILINE)
    assert moved.split() == [
        "block_16_depthwise/kernel",
        "block_16_expand/kernel",
        "block_16_project/kernel",
        "top_conv/kernel",
    ]
    assert "Received: trainable='blokc_16'" in done.text_of("blokc_16")
    kept = done.text_of("keras.models.load_model(")
    assert numbers(r"after reloading: (\S+)", kept) == [0]
    assert "trainable variables: 12" in kept
    summary = done.text_of("kt.load_backbone(HANDLE")
    assert len(re.findall(r"^(?:stem|block_\d+) ", summary, re.MULTILINE)) == 17
    assert re.findall(r"^(\w+) .* trains", summary, re.MULTILINE) == [
        "block_14",
        "block_15",
        "block_16",
        "head",
    ]
    assert min(numbers(r": (0\.\d+)", summary)) > 0.4
    assert done.boards[0] >= {"train", "validation"}


def test_reading_the_board(execute, tmp_path):
    done = execute("reading_the_board")
    listed = done.text_of('for folder, tag in sorted(pages["images"])')
    # The head ends with epoch 7, everything with epoch 11.
    pictures = (
        "confident_mistakes",
        "confusion_matrix_shares",
        "f1",
        "grad_cam",
        "reliability",
        "uncertain_examples",
    )
    for tag in pictures:
        assert f"validation: {tag}, epochs [7, 11]" in listed
    assert f"confusion_matrix, epochs {list(range(12))}" in listed
    shown = [
        output.data["image/jpeg"]
        for cell in code_cells(done.notebook)
        for output in cell.outputs
        if "image/jpeg" in output.get("data", {})
    ]
    # All but the uncertain examples, which are like the mistakes.
    assert len(shown) == len(pictures) - 1
    assert "no picture called" not in "".join(
        text_of(cell) for cell in code_cells(done.notebook)
    )
    for source in ("gap/accuracy", "viridis", "pr_curves", "np.linalg.svd"):
        assert done.count_pictures(source) == 1
    # "Here there is one": the second phase begins with a jump down.
    run = kt.read_run(tmp_path / "logs/board")
    accuracy = dict(zip(*run.curve("epoch_accuracy", "train"), strict=True))
    assert accuracy[8] < accuracy[7]
    for kind in ("learning_rate", "gradient", "update", "drift"):
        epochs, values = run.curve(f"{kind}/block_16", "train")
        assert list(epochs[values > 0]) == [8, 9, 10, 11]
    data = done.text_of('run.texts.get("data"')
    assert "**Warning:** few examples to be judged by: bread (4)" in data
    # "may as well be 72 or 86"
    assert "80 % may as well be 72 or 86 %" in data
    assert "| **mean of the classes** |" in done.text_of('show("f1"')
    assert re.search(r"epochs +12", done.text_of("session_start_info"))
    report = done.text_of('run.texts["report"]')
    assert "after head" in report and "after all" in report
    assert "Verdict: " in report
    assert done.boards[0] >= {"train", "validation", "projector"}


def test_keeping_what_it_knew(execute):
    done = execute("keeping_what_it_knew")
    [before] = numbers(r"on the old task: (\S+)", done.text_of("old.save("))
    epochs = numbers(r"(0\.\d+)", done.text_of('monitor = learn("plain"'))
    # "In its first phase only the new head trains, so nothing is forgotten."
    assert epochs[:5] == [round(before, 2)] * 5
    rows = re.findall(
        r"(\S+) +old (\S+) +new (\S+)", done.text_of("plt.subplots(")
    )
    old = {name: float(value) for name, value, _ in rows}
    new = {name: float(value) for name, _, value in rows}
    assert list(old) == ["plain", "L2-SP", "LwF", "halfway"]
    # "Fine-tuning overwrites", and halfway less of it.
    assert old["plain"] < before - 0.1
    assert old["halfway"] > old["plain"] + 0.05
    assert min(new.values()) > 0.5
    assert done.count_pictures("plt.subplots(") == 1
    updated = done.text_of("kt.update(")
    assert "14 classes" in updated
    [(at_first, at_last)] = re.findall(r"on new data +(\S+) +(\S+)", updated)
    assert float(at_first) == 0 and float(at_last) > 0.5
