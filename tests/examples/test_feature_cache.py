"""The example, whole, on real weights and real pictures."""

import re

from tests.examples.run_script import run_script
from tests.examples.test_classify_images import save_crops


def run(folder):
    arguments = "--data photos --side 64 --epochs 2 --folder kept"
    text = run_script("feature_cache", arguments, folder)
    return re.findall(r"accuracy (\d\.\d+)", text)


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
