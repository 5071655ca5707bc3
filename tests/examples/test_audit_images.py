"""The audit's script, pointed at other pictures."""

import pytest

from tests.examples.run_script import run_script
from tests.examples.test_classify_images import save_crops

pytest.importorskip("imagehash")


def test_script_lists_what_to_leave_out(tmp_path):
    save_crops(tmp_path / "photos")
    (tmp_path / "photos/china/broken.jpg").write_bytes(b"no picture")
    copied = (tmp_path / "photos/china/crop 3.jpg").read_bytes()
    (tmp_path / "photos/flower/no flower.jpg").write_bytes(copied)
    options = "--data photos --html page.html"
    text = run_script("audit_images", options, tmp_path)
    listed = text.split("To leave out, 3 files:")[1]
    for name in ("china/broken.jpg", "china/crop 3.jpg", "no flower.jpg"):
        assert f"{name}\n" in listed
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "crop 3.jpg" in page and "data:image/jpeg;base64," in page
