"""The example, whole, on real weights and real pictures."""

import os
import pathlib
import re
import subprocess
import sys

from tests.examples.test_classify_images import save_crops

SCRIPT = pathlib.Path(__file__).parents[2] / "examples/feature_cache.py"


def run(folder):
    arguments = "--data photos --side 64 --epochs 2 --folder kept"
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments.split()],
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r"accuracy (\d\.\d+)", done.stdout)


def test_features_are_found_again_in_another_process(tmp_path):
    save_crops(tmp_path / "photos")
    accuracies = run(tmp_path)
    assert len(accuracies) == 3 and len(set(accuracies)) == 1
    files = sorted((tmp_path / "kept").glob("*/*.features"))
    content = [path.read_bytes() for path in files]
    # Of training and validation, for the same network.
    assert len(files) == 2 and len({path.parent for path in files}) == 1
    assert run(tmp_path) == accuracies
    assert sorted((tmp_path / "kept").glob("*/*.features")) == files
    assert [path.read_bytes() for path in files] == content
