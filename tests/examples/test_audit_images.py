"""The audit's script, pointed at other pictures."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.examples.test_classify_images import save_crops

SCRIPT = pathlib.Path(__file__).parents[2] / "examples/audit_images.py"

pytest.importorskip("imagehash")


def test_script_lists_what_to_leave_out(tmp_path):
    save_crops(tmp_path / "photos")
    (tmp_path / "photos/china/broken.jpg").write_bytes(b"no picture")
    copied = (tmp_path / "photos/china/crop 3.jpg").read_bytes()
    (tmp_path / "photos/flower/no flower.jpg").write_bytes(copied)
    done = subprocess.run(
        [
            sys.executable,
            str(SCRIPT),
            "--data",
            "photos",
            "--html",
            "page.html",
        ],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    listed = done.stdout.split("To leave out, 3 files:")[1]
    for name in ("china/broken.jpg", "china/crop 3.jpg", "no flower.jpg"):
        assert f"{name}\n" in listed
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "crop 3.jpg" in page and "data:image/jpeg;base64," in page
