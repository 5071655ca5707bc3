"""The script that asks before it trains, pointed at other pictures."""

import os
import pathlib
import re
import subprocess
import sys

from tests.examples.test_classify_images import save_crops

SCRIPT = pathlib.Path(__file__).parents[2] / "examples/before_training.py"


def test_script_asks_and_trains_what_was_recommended(tmp_path):
    save_crops(tmp_path / "photos")
    done = subprocess.run(
        [
            sys.executable,
            str(SCRIPT),
            *("--data", "photos", "--side", "65", "--epochs", "4"),
        ],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert "Recommended: bundled:efficientnet_lite0." in text
    assert "logistic regression, random weights" in text
    said = re.search(r"Recommended: train the head(, then| alone)", text)
    phases = re.findall(r"^after (\S+)", text, re.MULTILINE)
    expected = {
        ", then": ["extraction", "fine-tuning"],
        " alone": ["extraction"],
    }
    assert phases == expected[said[1]]
    assert text.rstrip().endswith('"') and "Verdict:" in text
