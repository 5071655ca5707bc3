"""A training that kills its own process, to be run in one of its own."""

import os
import signal

import keras
import numpy as np

import keras_transfer as kt
from keras_transfer.callbacks import state_file
from tests.networks import tiny_backbone

PHASES = [
    kt.Phase("head", 2, 0.05),
    kt.Phase("top:1", 4, 0.02, patience=1, min_delta=0.02),
    kt.Phase("all", 3, 0.01, schedule="one_cycle"),
]


class Fate(keras.callbacks.Callback):
    """Dies at the n-th moment: in an epoch, between two, in a write."""

    def __init__(self, moments_left):
        super().__init__()
        self.moments_left = moments_left

    def on_epoch_begin(self, epoch, logs=None):
        self.pass_moment()

    def on_train_batch_end(self, batch, logs=None):
        self.pass_moment()

    def pass_moment(self):
        self.moments_left -= 1
        if self.moments_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_writes(self):
        """Let every step of writing a file be a moment, too."""
        for name in ("fsync", "replace"):
            original = getattr(os, name)

            def watched(*args, original=original):
                self.pass_moment()
                original(*args)
                self.pass_moment()

            setattr(state_file.os, name, watched)


def build():
    return kt.build_classifier(
        tiny_backbone(4),
        ["a", "b", "c"],
        dropout=0.3,
        augmentation=keras.layers.RandomFlip(),
    )


def fit_on_arrays(folder, fate):
    model = build()
    model.compile(
        kt.DiscriminativeOptimizer("adamw", decay=0.5),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    random = np.random.default_rng(0)
    x, y = random.uniform(0, 255, (40, 8, 8, 3)), np.arange(40) % 3
    callbacks = [
        kt.PhaseBackup(os.path.join(folder, "backup")),
        kt.GradualUnfreezing(PHASES),
        kt.BestWeights(),
        fate,
    ]
    fitted = model.fit(
        x,
        y,
        batch_size=8,
        epochs=9,
        validation_data=(x, y),
        callbacks=callbacks,
        verbose=0,
    )
    return model, fitted.history


def fine_tune_on_a_folder(folder, fate):
    train, validation = kt.load_image_folder(
        os.path.join(folder, "images"),
        image_size=8,
        batch_size=8,
        verbose=False,
    )
    result = kt.fine_tune(
        build(),
        train,
        validation,
        strategy=PHASES,
        class_weight="balanced",
        log_dir=os.path.join(folder, "logs"),
        resume=True,
        callbacks=[fate],
        seed=1,
        verbose=0,
    )
    return result.model, result.history


def run(kind, folder, moments):
    """Train, and write weights, optimizer state and history to a file."""
    keras.utils.set_random_seed(3)
    fate = Fate(moments)
    fate.watch_writes()
    train = {"arrays": fit_on_arrays, "folder": fine_tune_on_a_folder}[kind]
    model, history = train(folder, fate)
    np.savez(
        os.path.join(folder, "end.npz"),
        *model.get_weights(),
        *[v.numpy() for v in model.optimizer.variables],
        **history,
    )
