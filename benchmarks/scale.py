"""What a cache costs as the examples become more.

    python benchmarks/scale.py --examples 1000 10000 100000

Images of 32 px that are generated as they are read, through MobileNetV2 with
a quarter of its width, with the features (1280 floats) kept in memory and on
disk. Each run is a process of its own: the seconds to fill the cache and for
an epoch of training a head on it, each also for 1000 examples, and the peak
of its memory beyond that of a process with 64 examples.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

from rounds import print_table

SIDE, BATCH = 32, 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--examples", type=int, nargs="+", default=[1000, 10_000, 100_000]
    )
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run[0], int(options.run[1]))))
        return
    rows = []
    for place in ("memory", "disk"):
        least = start(place, 64)["peak"]
        for count in options.examples:
            found = start(place, count)
            preposition = "on" if place == "disk" else "in"
            rows.append([f"{count:,} {preposition} {place}"])
            for part in ("fill", "epoch"):
                rows[-1] += [found[part], 1000 * found[part] / count]
            rows[-1] += [found["megabytes"], found["peak"] - least]
    heads = ["", "fill, s", "per 1000", "epoch, s", "per 1000"]
    print_table([*heads, "features, MB", "peak memory, MB"], rows)


def start(place, count):
    command = [sys.executable, __file__, "--run", place, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(place, count):
    import keras
    import tensorflow as tf

    import keras_transfer as kt

    def generate(number):
        seed = tf.stack([number, 0])
        image = tf.random.stateless_uniform((SIDE, SIDE, 3), seed, maxval=255.0)
        return image, number % 2

    data = tf.data.Dataset.range(count).map(generate).batch(BATCH)
    network = keras.applications.MobileNetV2(
        (SIDE, SIDE, 3), alpha=0.25, weights=None, include_top=False,
        pooling="avg",
    )  # fmt: skip
    head = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
    head.compile("adam", "sparse_categorical_crossentropy")
    with tempfile.TemporaryDirectory() as folder:
        cache = kt.FeatureCache()
        if place == "disk":
            cache = kt.FeatureCache(folder, memory_limit=0)
        begin = time.perf_counter()
        features = kt.cache_features(
            kt.load_backbone(network), data, cache=cache, engine="tensorflow"
        )
        filled = time.perf_counter()
        head.fit(features, verbose=0, shuffle=False)
        trained = time.perf_counter()
        head.fit(features, verbose=0, shuffle=False)
        end = time.perf_counter()
    return {
        "fill": filled - begin,
        "epoch": end - trained,
        "megabytes": count * network.output_shape[-1] * 4 / 1e6,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


if __name__ == "__main__":
    main()
