"""Keep the features of a frozen network on disk, and train on them again.

    python examples/feature_cache.py

Trains a head for the clip art in `examples/data` three times, and says how
long each took: with nothing kept, with features that are computed and kept in
a folder, and with those that are there. Other heads, rates and epochs find
them again, and so do pictures that were there before.
"""

import argparse
import pathlib
import tempfile
import time

import keras

import keras_transfer as kt

DATA = pathlib.Path(__file__).parent / "data" / "clipart14"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=DATA, help="folder of class folders")
    parser.add_argument("--side", type=int, default=129, help="pixels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--folder", help="where to keep features")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        for name, cache in (
            ("nothing kept", False),
            ("kept", folder),
            ("found again", folder),
        ):
            seconds, accuracy = train(options, cache)
            print(f"{name:14}{seconds:6.1f} s   accuracy {accuracy:.4f}")


def train(options, cache):
    keras.utils.set_random_seed(0)
    train, validation = kt.load_image_folder(
        options.data, image_size=options.side, verbose=False
    )
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0",
        input_shape=(options.side, options.side, 3),
    )
    model = kt.build_classifier(backbone, train.class_names)
    start = time.perf_counter()
    result = kt.fine_tune(
        model,
        train,
        validation,
        strategy="extraction",
        epochs=options.epochs,
        cache=cache,
        log_dir=False,
        verbose=0,
    )
    seconds = time.perf_counter() - start
    return seconds, max(result.history["val_accuracy"])


if __name__ == "__main__":
    main()
