"""The demo's script, pointed at other pictures."""

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import keras_transfer as kt
from tests.examples.run_script import run_script


def save_crops(folder):
    """Cut pieces out of two photographs, a class each."""
    rng = np.random.default_rng(0)
    for name in ("china", "flower"):
        photo = Image.fromarray(load_sample_image(f"{name}.jpg"))
        (folder / name).mkdir(parents=True)
        for number in range(12):
            left, top = rng.integers(0, (photo.width - 99, photo.height - 99))
            crop = photo.crop((left, top, left + 99, top + 99))
            crop.save(folder / name / f"crop {number}.jpg")


def test_script_trains_on_a_folder(tmp_path):
    save_crops(tmp_path / "photos")
    (tmp_path / "photos/china/broken.jpg").write_bytes(b"no picture")
    arguments = "--data photos --epochs 3 --save model.keras --log-dir logs"
    text = run_script("classify_images", arguments, tmp_path)
    assert "broken.jpg" in text
    assert 'tensorboard --logdir "logs"' in text.splitlines()[-1]
    accuracy = float(text.split("after fine-tuning")[1].split()[0])
    assert accuracy > 0.75
    model = keras.models.load_model(tmp_path / "model.keras")
    flower = Image.fromarray(load_sample_image("flower.jpg")).resize((224, 224))
    predictions = model.predict(np.asarray(flower)[None], verbose=0)
    [[(name, _)]] = kt.decode_predictions(model, predictions, top=1)
    assert name == "flower"
