"""What the board costs in time and on disk.

    python benchmarks/board.py --images 500 --epochs 4 --rounds 3

The whole of MobileNetV2 at 160 px is trained by `kt.fine_tune`, without logs,
with Keras's `TensorBoard`, and with the `TransferBoard` that is the default;
the images are those of `extraction.py`. The table gives the median time of an
epoch but the first, which traces, how much longer than without logs that is,
what the whole takes beside such epochs, more than without logs (pictures of the
phase, Grad-CAM, the projector), and the size of the logs.
"""

import argparse
import os
import statistics
import tempfile
import time

import extraction
import keras
from rounds import measure, print_table

import keras_transfer as kt


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data, epochs = extraction.make_images(options.images), options.epochs
    kinds = ("no logs", "TensorBoard", "TransferBoard")
    ways = {k: lambda n, kind=k: train(data, epochs, kind) for k in kinds}
    found = measure(ways, options.rounds)
    base = found["no logs"]
    rows = [
        [
            name,
            r["epoch"],
            f"{r['epoch'] / base['epoch'] - 1:+.1%}",
            r["rest"] - base["rest"],
            r["megabytes"],
        ]
        for name, r in found.items()
    ]
    print(f"\n{options.images} images, {epochs} epochs\n")
    headings = ["", "s an epoch", "more", "once, s more", "logs, MB"]
    print_table(headings, rows)


class Clock(keras.callbacks.Callback):
    """Takes the time at the start of each epoch, and at the end."""

    def on_train_begin(self, logs=None):
        self.times = []

    def on_epoch_begin(self, epoch, logs=None):
        self.times.append(time.perf_counter())

    def on_train_end(self, logs=None):
        self.times.append(time.perf_counter())


def train(data, epochs, kind):
    model = kt.build_classifier(extraction.load(), extraction.CLASSES)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [clock]
        if kind == "TensorBoard":
            callbacks.append(keras.callbacks.TensorBoard(folder))
        start = time.perf_counter()
        kt.fine_tune(
            model,
            *data,
            strategy=[kt.Phase("all", epochs, 1e-4)],
            log_dir=folder if kind == "TransferBoard" else False,
            callbacks=callbacks,
            verbose=0,
        )
        seconds = time.perf_counter() - start
        size = sum(
            os.path.getsize(os.path.join(place, file))
            for place, _, files in os.walk(folder)
            for file in files
        )
    times = [b - a for a, b in zip(clock.times, clock.times[1:], strict=False)]
    epoch = statistics.median(times[1:])
    rest = seconds - epochs * epoch
    return {"epoch": epoch, "rest": rest, "megabytes": size / 1e6}


if __name__ == "__main__":
    main()
