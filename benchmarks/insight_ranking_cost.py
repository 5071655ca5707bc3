"""What `rank_backbones` costs, against passes of its candidates over the data.

    python benchmarks/insight_ranking_cost.py

Candidates are EfficientNet-Lite0, and MobileNetV2 with random weights; the data
is clip art, twice, at 128 px. The baseline loads the same networks and calls
`predict`, so that both trace them. In turns in one process; medians.
"""

import argparse
import pathlib
import time

import keras
from rounds import measure, print_table
from strategies import EXAMPLES, load_tasks

import keras_transfer as kt

SIDE, COPIES, BATCH_SIZE = 128, 2, 64
SHAPE = SIDE, SIDE, 3


def main():
    arguments = read_arguments()
    [pictures] = load_tasks(arguments.data, SIDE)["clipart14"]
    x, y = zip(
        *(
            (image, label)
            for label, named in enumerate(pictures.values())
            for image in named.values()
        ),
        strict=True,
    )
    x = keras.ops.convert_to_numpy(COPIES * x).astype("float32")
    y = keras.ops.convert_to_numpy(COPIES * y)
    ways = {
        "forward passes": lambda _: timed(lambda: run_forward(x)),
        "rank_backbones": lambda _: timed(
            lambda: kt.rank_backbones((x, y), load(), verbose=False)
        ),
    }
    found = measure(ways, arguments.rounds)
    base = found["forward passes"]["seconds"]
    print_table(
        [f"{len(y)} pictures, {len(load())} networks", "seconds", "ratio"],
        [[n, f["seconds"], f["seconds"] / base] for n, f in found.items()],
    )


def load():
    lite0 = kt.load_backbone("bundled:efficientnet_lite0", input_shape=SHAPE)
    mobilenet = kt.load_backbone("MobileNetV2", weights=None, input_shape=SHAPE)
    return {"lite0": lite0, "mobilenet": mobilenet}


def run_forward(x):
    for backbone in load().values():
        network = keras.Sequential(
            [
                keras.Input(SHAPE),
                backbone.preprocess,
                backbone.model,
                keras.layers.GlobalAveragePooling2D(),
            ]
        )
        network.predict(x, batch_size=BATCH_SIZE, verbose=0)


def timed(function):
    start = time.perf_counter()
    function()
    return {"seconds": time.perf_counter() - start}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=EXAMPLES)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
