"""The script that asks before it trains, pointed at other pictures."""

import re

from tests.examples.run_script import run_script
from tests.examples.test_classify_images import save_crops


def test_script_asks_and_trains_what_was_recommended(tmp_path):
    save_crops(tmp_path / "photos")
    options = "--data photos --side 65 --epochs 4"
    text = run_script("before_training", options, tmp_path)
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
