"""The example, whole, on real weights and real pictures."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np

import keras_transfer as kt
from tests.examples.test_classify_images import save_crops

SCRIPT = pathlib.Path(__file__).parents[2] / "examples/gradual_unfreezing.py"


def start(folder, state):
    arguments = f"--data ../photos --side 64 --epochs 2 --resume {state}"
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, SCRIPT, *arguments.split(), "--save", "end.keras"],
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_phases_follow_and_a_kill_changes_nothing(tmp_path):
    save_crops(tmp_path / "photos")
    whole = start(tmp_path / "whole", "state")
    out, err = whole.communicate()
    assert whole.returncode == 0, err
    lines = [line for line in out.splitlines() if line.startswith("Phase")]
    assert [line.split(",")[0] for line in lines] == [
        "Phase 1 of 3",
        "Phase 2 of 3",
        "Phase 3 of 3",
    ]
    assert "head train (2,562 of 3,415,586 weights)" in lines[0]
    assert "stem to head train" in lines[2]

    killed = start(tmp_path / "killed", "state")
    state = tmp_path / "killed/state/training_state"
    while not state.exists():
        time.sleep(0.05)
    first = state.stat().st_mtime_ns
    while state.stat().st_mtime_ns == first and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = start(tmp_path / "killed", "state")
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert "Going on with epoch" in out

    ends = [
        keras.models.load_model(tmp_path / name / "end.keras")
        for name in ("whole", "killed")
    ]
    for a, b in zip(*(m.get_weights() for m in ends), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(*(m.optimizer.variables for m in ends), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert isinstance(ends[0].optimizer, kt.DiscriminativeOptimizer)
