"""What frozen training costs when the frozen part is computed once.

    python benchmarks/extraction.py

Ten epochs of a new head on MobileNetV2 at 160 px, with random images: the
recipe of Keras's transfer-learning guide, in plain Keras; `kt.fine_tune`
without and with its cache; and, as a measure, a single pass over the images.
Prints, as the median of several interleaved rounds, the wall time of each and
its ratio to the guide's. All is counted but building the model: tracing,
filling the cache, and the validation of each epoch, which all have.
"""

import argparse
import statistics
import time

import keras
import numpy as np

import keras_transfer as kt

SIDE, CLASSES, EPOCHS, BATCH = 160, 5, 10, 32
LOSS = "sparse_categorical_crossentropy"


def main():
    compare(
        {
            "guide": follow_the_guide,
            "fine_tune, cache=False": lambda data: extract(data, False),
            "fine_tune": lambda data: extract(data, "auto"),
            "one pass": pass_once,
        }
    )


def compare(ways):
    """Time ways to do the same, in turns; print ratios to the first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = make_images(arguments.images)
    seconds = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            keras.utils.clear_session()
            seconds[name].append(way(data))
    print(f"{arguments.images} images")
    medians = {n: statistics.median(found) for n, found in seconds.items()}
    for name, median in medians.items():
        ratio = next(iter(medians.values())) / median
        print(f"{name:24} {median:8.1f} s   {ratio:.1f} times as fast")


def make_images(count):
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (count, SIDE, SIDE, 3)).astype("float32")
    labels = np.arange(count) % CLASSES
    held_back = count // 5
    return (
        (images[held_back:], labels[held_back:]),
        (images[:held_back], labels[:held_back]),
    )


def load():
    return kt.load_backbone(
        "MobileNetV2", weights=None, input_shape=(SIDE, SIDE, 3)
    )


def follow_the_guide(data):
    """https://keras.io/guides/transfer_learning, its frozen part."""
    train, validation = data
    base = load().model
    base.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(CLASSES, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    start = time.perf_counter()
    model.compile("adam", LOSS, metrics=["accuracy"])
    model.fit(*train, BATCH, EPOCHS, validation_data=validation, verbose=0)
    return time.perf_counter() - start


def extract(data, cache):
    train, validation = data
    model = kt.build_classifier(load(), CLASSES)
    start = time.perf_counter()
    kt.fine_tune(
        model,
        train,
        validation,
        strategy="extraction",
        epochs=EPOCHS,
        cache=cache,
        log_dir=False,
        verbose=0,
    )
    return time.perf_counter() - start


def pass_once(data):
    model = load().model
    images = np.concatenate([x for x, _ in data])
    start = time.perf_counter()
    model.predict(images, BATCH, verbose=0)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
