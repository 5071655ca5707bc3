"""How fast images come out of a folder.

    python benchmarks/input.py --images 2000

JPEG photos of 500 x 375 pixels, made for the purpose, resized to 160 px in
batches of 32: images a second in the first epoch, in which they are decoded
(with `load_image_folder`, the loading itself included), and in later ones,
with `keras.utils.image_dataset_from_directory`, the same with `.cache()`, and
`kt.load_image_folder`. Medians of several interleaved rounds.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from rounds import measure, print_table

import keras_transfer as kt

SIDE, BATCH = 160, 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_photos(pathlib.Path(folder), options.images)
        ways = {
            "image_dataset_from_directory": read_directory,
            "image_dataset_from_directory, cache": cache_directory,
            "load_image_folder": load_folder,
        }
        count = options.images
        found = measure(
            {
                name: lambda n, way=way: time_epochs(way, folder, count)
                for name, way in ways.items()
            },
            options.rounds,
        )
    base, *_ = found.values()
    rows = [
        [name, r["first"], r["later"], *[r[k] / base[k] for k in r]]
        for name, r in found.items()
    ]
    heads = ["images/s", "first", "later", "first, times", "later, times"]
    print_table(heads, rows)


def make_photos(folder, count):
    """Noise on several scales, in two classes."""
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"class_{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        image = sum(
            tf.image.resize(random.uniform(0, 255, (side, side, 3)), (375, 500))
            for side in (4, 16, 64, 256)
        )
        jpeg = tf.io.encode_jpeg(tf.cast(image / 4, "uint8"), quality=90)
        path.write_bytes(jpeg.numpy())


def time_epochs(make, folder, count):
    rates, start = [], time.perf_counter()
    data = make(folder)
    for _ in range(4):
        seen = sum(len(labels) for _, labels in data)
        now = time.perf_counter()
        rates.append(seen / (now - start))
        start = now
    assert seen == count
    return {"first": rates[0], "later": float(np.median(rates[1:]))}


def read_directory(folder):
    return keras.utils.image_dataset_from_directory(
        folder, image_size=(SIDE, SIDE), batch_size=BATCH, verbose=False
    )


def cache_directory(folder):
    data = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIDE, SIDE), batch_size=None, verbose=False
    )
    return data.cache().shuffle(1000).batch(BATCH).prefetch(2)


def load_folder(folder):
    train, _ = kt.load_image_folder(
        folder,
        image_size=SIDE,
        batch_size=BATCH,
        validation_split=0,
        verbose=False,
    )
    return train


if __name__ == "__main__":
    main()
