"""The script that averages several trainings, pointed at other pictures."""

import re

import keras

from tests.examples.run_script import run_script
from tests.examples.test_classify_images import save_crops


def test_script_averages_runs_and_tests_them_elsewhere(tmp_path):
    photos = tmp_path / "photos"
    save_crops(photos)
    options = "--data photos --rates 1e-4 5e-4 --side 65 --epochs 2"
    options += " --head-epochs 8"
    text = run_script("average_runs", options, tmp_path)
    alone = re.findall(r"^ +\d +(\d\.\d{3}) +\d", text, re.MULTILINE)
    soup = re.search(r"The mean of \d of 3 models: accuracy (\S+)\.\n", text)
    assert len(alone) == 3 and soup[1] >= max(alone)
    tested = dict(re.findall(r"^  (\S.*?) +(\d\.\d{3})$", text, re.MULTILINE))
    assert [*tested] == [
        "the head alone",
        "a run at 0.0001",
        "a run at 0.0005",
        "the soup",
        "between",
    ]
    assert float(tested["the soup"]) > 0.6
    model = keras.models.load_model(tmp_path / "average.keras")
    assert model.class_names == ["china", "flower"]
