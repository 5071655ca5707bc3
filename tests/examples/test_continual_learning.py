"""The script that teaches new classes, pointed at other pictures."""

import re

import keras
import PIL.Image
import PIL.ImageOps

from tests.examples.run_script import run_script
from tests.examples.test_classify_images import save_crops


def test_script_learns_more_and_says_what_it_forgot(tmp_path):
    photos = tmp_path / "photos"
    save_crops(photos)
    for name in ("china", "flower"):
        (photos / f"negative {name}").mkdir()
        for file in sorted((photos / name).iterdir()):
            with PIL.Image.open(file) as image:
                negative = PIL.ImageOps.invert(image)
            negative.save(photos / f"negative {name}" / file.name)
    options = "--data photos --later 2 --kept 4 --side 65 --epochs 4"
    text = run_script("continual_learning", options, tmp_path)
    assert "Kept of them: 8 pictures." in text
    old = re.findall(r"on old data +(\S+) +(\S+)", text)
    new = re.findall(r"on new data +(\S+) +(\S+)", text)
    assert len(old) == len(new) == 2
    # With some of the old, less is forgotten, and the new is learned.
    assert float(old[1][1]) >= float(old[0][1])
    assert float(new[1][0]) <= 0.5 < float(new[1][1])
    assert text.count("On the old task the accuracy was") == 2
    model = keras.models.load_model(tmp_path / "continual.keras")
    assert model.class_names == [
        "china",
        "flower",
        "negative china",
        "negative flower",
    ]
