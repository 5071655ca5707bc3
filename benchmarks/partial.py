"""What half frozen training costs when the frozen part is computed once.

    python benchmarks/partial.py

The head for 3 epochs, then 2 groups below it for 4, then 4 for 4:
MobileNetV2 at 160 px, with random images. With `compile` and `fit` for each
phase, after `kt.set_trainable`; and with `kt.fine_tune`, without and with its
cache. Prints, as the median of several interleaved rounds, the wall time of
each and its ratio to the first. All is counted but building the
model.
"""

import time

import extraction
import keras

import keras_transfer as kt

PHASES = [
    kt.Phase("head", 3, 1e-3),
    kt.Phase("top:2", 4, 1e-4),
    kt.Phase("top:4", 4, 1e-5),
]


def main():
    extraction.compare(
        {
            "compile and fit": compile_each_phase,
            "fine_tune, cache=False": lambda data: fine_tune(data, False),
            "fine_tune": lambda data: fine_tune(data, "auto"),
        }
    )


def compile_each_phase(data):
    train, validation = data
    model = kt.build_classifier(extraction.load(), extraction.CLASSES)
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
    return time.perf_counter() - start


def fine_tune(data, cache):
    train, validation = data
    model = kt.build_classifier(extraction.load(), extraction.CLASSES)
    start = time.perf_counter()
    kt.fine_tune(
        model,
        train,
        validation,
        strategy=PHASES,
        cache=cache,
        log_dir=False,
        verbose=0,
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
