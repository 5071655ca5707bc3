"""What half frozen training costs when the frozen part is computed once.

    python benchmarks/partial.py --images 640 --rounds 3

The head for 3 epochs, then 2 groups below it for 4, then 4 for 4:
MobileNetV2 at 160 px, with the images of `extraction.py`. With `compile` and
`fit` for each phase, the rest frozen by `kt.set_trainable`; and with
`kt.fine_tune`, without its cache, and with it on each engine. The table gives
the wall time, but for building the model, and how many times as fast as the
first that is. Medians of several interleaved rounds.
"""

import argparse
import time

import extraction
import keras
from rounds import measure, print_table

import keras_transfer as kt

PHASES = [
    kt.Phase("head", 3, 1e-3),
    kt.Phase("top:2", 4, 1e-4),
    kt.Phase("top:4", 4, 1e-5),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = extraction.make_images(options.images)
    ways = {
        "compile and fit": lambda n: compile_each_phase(data, n),
        "fine_tune, cache=False": lambda n: fine_tune(data, n, False),
    }
    for engine in ("auto", "tensorflow"):
        ways[f"fine_tune, {engine}"] = lambda n, engine=engine: fine_tune(
            data, n, "auto", engine
        )
    found = measure(ways, options.rounds)
    base = found["compile and fit"]["seconds"]
    rows = [[n, r["seconds"], base / r["seconds"]] for n, r in found.items()]
    print(f"\n{options.images} images\n")
    print_table(["", "s", "times"], rows)


def compile_each_phase(data, seed):
    train, validation = data
    backbone = extraction.load(seed)
    model = kt.build_classifier(backbone, extraction.CLASSES)
    start = time.perf_counter()
    for phase in PHASES:
        kt.set_trainable(model, phase.train)
        optimizer = keras.optimizers.Adam(phase.learning_rate)
        model.compile(optimizer, extraction.LOSS, metrics=["accuracy"])
        model.fit(
            *train,
            extraction.BATCH,
            phase.epochs,
            validation_data=validation,
            verbose=0,
        )
    return {"seconds": time.perf_counter() - start}


def fine_tune(data, seed, cache, engine="auto"):
    backbone = extraction.load(seed)
    model = kt.build_classifier(backbone, extraction.CLASSES)
    start = time.perf_counter()
    kt.fine_tune(
        model,
        *data,
        strategy=PHASES,
        cache=cache,
        engine=engine,
        log_dir=False,
        verbose=0,
    )
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    main()
