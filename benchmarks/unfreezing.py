"""What phases inside one `fit` cost, beside compiling for each phase.

    python benchmarks/unfreezing.py

Trains EfficientNet-Lite0 in ten phases of one epoch, from the head down:
with `GradualUnfreezing` in one `fit`, and with `compile` and `fit` for each
phase; and, for as many epochs, with a plain `fit` of everything. Prints, as
the median of several interleaved rounds, the wall time as a ratio to that of
compiling, how often the train step was traced, and how the process grew from
the second phase to the last. Then the time of a step in a phase, with and
without a schedule, as a ratio to that of a step without the callback.
"""

import argparse
import gc
import os
import statistics
import time

import keras
import numpy as np

import keras_transfer as kt

SIDE = 64
PHASES = [
    kt.Phase(f"top:{2 * n}" if n else "head", 1, 1e-3 / (n + 1))
    for n in range(8)
] + [kt.Phase("top:15", 1, 1e-4), kt.Phase("all", 1, 1e-4)]
LOSS = "sparse_categorical_crossentropy"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    ways = {
        "compile and fit": compile_each_phase,
        "one fit": unfreeze_in_one_fit,
        "plain fit": train_everything,
    }
    results = {name: [] for name in ways}
    for _ in range(rounds):
        for name, train in ways.items():
            results[name].append(measure(train))
    print(f"{'ten phases':18}{'time':>8}{'traces':>9}{'growth':>12}")
    base = [seconds for seconds, _, _ in results["compile and fit"]]
    for name, found in results.items():
        seconds, traces, growth = zip(*found, strict=True)
        ratios = [a / b for a, b in zip(seconds, base, strict=True)]
        print(
            f"{name:18}{statistics.median(ratios):8.2f}{traces[0]:9}"
            f"{statistics.median(growth):9.0f} MB"
        )
    for schedule in ("constant", "cosine"):
        ratio = step_ratio(schedule, rounds)
        print(f"a step, schedule {schedule}: {ratio:.3f}")


def measure(train):
    """Return seconds, traces of the train step, and growth in megabytes."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(SIDE, SIDE, 3)
    )
    model = kt.build_classifier(backbone, 10)
    traces = count_traces(model)
    sizes = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: sizes.append(resident_megabytes())
    )
    start = time.perf_counter()
    train(model, data(), watch)
    seconds = time.perf_counter() - start
    return seconds, len(traces), sizes[-1] - sizes[1]


def compile_each_phase(model, train, watch):
    for epoch, phase in enumerate(PHASES):
        kt.set_trainable(model, phase.train)
        model.compile(keras.optimizers.Adam(phase.learning_rate), LOSS)
        model.fit(
            *train,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=[watch],
            verbose=0,
        )


def unfreeze_in_one_fit(model, train, watch):
    model.compile("adam", LOSS)
    callbacks = [kt.GradualUnfreezing(PHASES), watch]
    model.fit(*train, epochs=len(PHASES), callbacks=callbacks, verbose=0)


def train_everything(model, train, watch):
    kt.set_trainable(model, "all")
    model.compile("adam", LOSS)
    model.fit(*train, epochs=len(PHASES), callbacks=[watch], verbose=0)


def step_ratio(schedule, rounds, epochs=12):
    """Compare steps of a tiny network, whose own time hides nothing."""
    x = np.zeros((3200, 32), "float32")
    y = np.zeros(3200, int)
    phase = kt.Phase("all", epochs, 1e-3, schedule=schedule)
    models = []
    for _ in range(2):
        layers = [keras.layers.Dense(64, activation="relu") for _ in range(4)]
        model = keras.Sequential(
            [keras.Input((32,)), *layers, keras.layers.Dense(10, "softmax")]
        )
        kt.set_trainable(model, "all")
        model.compile("adam", LOSS)
        models.append(model)
    ratios = []
    for _ in range(rounds):
        with_callback, without = (
            epoch_seconds(model, x, y, epochs, callbacks)
            for model, callbacks in zip(
                models, ([kt.GradualUnfreezing([phase])], []), strict=True
            )
        )
        ratios.append(with_callback / without)
    return statistics.median(ratios)


def epoch_seconds(model, x, y, epochs, callbacks):
    """Return the median time of the epochs after the first."""
    times = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: times.append(-time.perf_counter()),
        on_epoch_end=lambda epoch, logs: times.append(time.perf_counter()),
    )
    model.fit(x, y, epochs=epochs, callbacks=[*callbacks, watch], verbose=0)
    spans = [a + b for a, b in zip(times[::2], times[1::2], strict=True)]
    return statistics.median(spans[1:])


def count_traces(model):
    """Return a list that grows whenever the train step is traced."""
    traces, step = [], model.train_step

    def traced(batch):
        traces.append(1)
        return step(batch)

    model.train_step = traced
    return traces


def data():
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (64, SIDE, SIDE, 3)).astype("float32")
    return x, random.integers(0, 10, 64)


def resident_megabytes():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


if __name__ == "__main__":
    main()
