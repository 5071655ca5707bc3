"""What frozen training costs when the frozen part is computed once.

    python benchmarks/extraction.py --images 4000 --rounds 3

Ten epochs of a new head on MobileNetV2 at 160 px, batches of 32, Adam at
1e-3, with random images and weights (that the result is the same is for the
tests): the recipe of Keras's transfer-learning guide and
KerasHub's `ImageClassifier`, both with the backbone frozen; `kt.fine_tune`
without its cache, as it is, and on each engine; and a single pass of each
engine over all images, which is the limit. A fifth of the images is held back,
and validated on after each epoch.

The table gives the wall time of the whole, from a model that is built to one
that is trained: cold (tracing and converting included), and warm (the same
again, in the same process), as seconds and as how many times as fast as the
guide. Medians of several interleaved rounds.
"""

import argparse
import time

import keras
import numpy as np
from rounds import measure, print_table

import keras_transfer as kt
from keras_transfer.caching.engines.engine import make_engine

SIDE, CLASSES, BATCH, RATE = 160, 5, 32, 1e-3
LOSS = "sparse_categorical_crossentropy"
ENGINES = ("tensorflow", "litert", "openvino", "openvino_bfloat16")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data, epochs = make_images(options.images), options.epochs
    ways = {
        "guide": lambda n: follow_the_guide(data, epochs),
        "KerasHub": lambda n: follow_keras_hub(data, epochs),
        "fine_tune, cache=False": lambda n: extract(data, epochs, n, False),
    }
    ways["fine_tune"] = lambda n: extract(data, epochs, n, "auto")
    for engine in ENGINES:
        ways[f"fine_tune, {engine}"] = lambda n, engine=engine: extract(
            data, epochs, n, "auto", engine
        )
        ways[f"one pass, {engine}"] = lambda n, engine=engine: pass_once(
            data, n, engine
        )
    found = measure(ways, options.rounds)
    guide = found["guide"]["cold"]
    rows = []
    for name, result in found.items():
        cold, warm = result["cold"], result.get("warm", result["cold"])
        rows.append([name, cold, warm, guide / cold, guide / warm])
    print(f"\n{options.images} images, {epochs} epochs\n")
    heads = ["", "cold, s", "warm, s", "cold, times", "warm, times"]
    print_table(heads, rows)


def make_images(count):
    random = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    images = random.uniform(0, 255, (count, SIDE, SIDE, 3)).astype("float32")
    held_back = count // 5
    return (
        (images[held_back:], labels[held_back:]),
        (images[:held_back], labels[:held_back]),
    )


def load(seed=0):
    keras.utils.set_random_seed(seed)
    return kt.load_backbone(
        "MobileNetV2", weights=None, input_shape=(SIDE, SIDE, 3)
    )


def follow_the_guide(data, epochs):
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
    return fit(keras.Model(inputs, outputs), data, epochs)


def follow_keras_hub(data, epochs):
    """Its classifier on the same backbone, and images scaled beforehand."""
    try:
        import keras_hub
    except ImportError:
        return None
    base = load().model
    base.trainable = False
    model = keras_hub.models.ImageClassifier(
        base, CLASSES, activation="softmax", dropout=0.2
    )
    data = [(x / 127.5 - 1, y) for x, y in data]
    return fit(model, data, epochs)


def fit(model, data, epochs):
    train, validation = data
    start = time.perf_counter()
    model.compile(keras.optimizers.Adam(RATE), LOSS, metrics=["accuracy"])
    model.fit(
        *train,
        batch_size=BATCH,
        epochs=epochs,
        validation_data=validation,
        verbose=0,
    )
    return {"cold": time.perf_counter() - start}


def extract(data, epochs, seed, cache, engine="auto"):
    result = {}
    for kind in ("cold", "warm") if cache else ("cold",):
        model = kt.build_classifier(load(seed), CLASSES)
        start = time.perf_counter()
        kt.fine_tune(
            model,
            *data,
            strategy=[kt.Phase("head", epochs, RATE)],
            cache=cache,
            engine=engine,
            log_dir=False,
            verbose=0,
        )
        result[kind] = time.perf_counter() - start
    return result


def pass_once(data, seed, engine):
    model = kt.build_classifier(load(seed), CLASSES)
    pooled = keras.Model(model.input, model.get_layer("head_pooling").output)
    engine, _, precision = engine.partition("_")
    images = np.concatenate([x for x, _ in data])
    start = time.perf_counter()
    run = make_engine(
        lambda x: {"features": pooled(x, training=False)},
        images[:BATCH],
        engine=engine,
        precision=precision or "float32",
    )
    made = time.perf_counter()
    for first in range(0, len(images), BATCH):
        run(images[first : first + BATCH])
    end = time.perf_counter()
    return {"cold": end - start, "warm": end - made}


if __name__ == "__main__":
    main()
