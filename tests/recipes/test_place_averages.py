import keras
import numpy as np
import pytest

import keras_transfer as kt
from tests.networks import tiny_backbone


def pictures(seed=0):
    """Draw noise in which the channel of the class is brighter."""
    rng = np.random.default_rng(seed)
    y = np.arange(48) % 3
    x = rng.uniform(0, 200, (48, 8, 8, 3))
    x[np.arange(48), :, :, y] += 25
    return x.astype("float32"), y


def train(callbacks, **options):
    keras.utils.set_random_seed(0)
    return kt.fine_tune(
        kt.build_classifier(tiny_backbone(), 3),
        pictures(),
        pictures(seed=1),
        optimizer=keras.optimizers.Adam(use_ema=True, ema_momentum=0.8),
        callbacks=callbacks,
        baselines=False,
        seed=0,
        verbose=0,
        **{"log_dir": False, **options},
    )


class Averages(keras.callbacks.Callback):
    """Averages the weights step by step, apart from the optimizer."""

    def on_train_begin(self, logs=None):
        self.average, self.kept = None, []

    def on_train_batch_end(self, batch, logs=None):
        now = [w.numpy() for w in self.model.trainable_weights]
        before = self.average or now
        self.average = [
            0.8 * a + 0.2 * b for a, b in zip(before, now, strict=True)
        ]

    def on_epoch_end(self, epoch, logs=None):
        self.kept.append(self.average)


def test_the_best_weights_are_the_averages_that_validation_judged():
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    watch = Averages()
    result = train([watch, swap], strategy=[kt.Phase("head", 6, 0.02)])
    history = result.history
    best = max(
        range(6),
        key=lambda n: (history["val_accuracy"][n], -history["val_loss"][n]),
    )
    loss, accuracy = result.model.evaluate(*pictures(seed=1), verbose=0)
    assert accuracy == pytest.approx(history["val_accuracy"][best])
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-5)
    for weight, average in zip(
        result.model.trainable_weights, watch.kept[best], strict=True
    ):
        np.testing.assert_allclose(weight, average, rtol=1e-4, atol=1e-6)


def test_phases_go_on_from_the_weights_and_not_from_the_averages():
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    phases = [kt.Phase("head", 2, 0.02), kt.Phase("all", 2, 0.01)]
    averaged = train([swap], strategy=phases)
    plain = train([], strategy=phases)
    # Keras swaps by adding and subtracting.
    assert averaged.history["loss"] == pytest.approx(
        plain.history["loss"], rel=1e-5
    )
    assert averaged.history["val_loss"] != plain.history["val_loss"]


def test_refuses_what_would_keep_other_weights(tmp_path):
    swap = keras.callbacks.SwapEMAWeights()
    with pytest.raises(ValueError, match="swap_on_epoch=False"):
        train(swap)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    with pytest.raises(ValueError, match="resume=True"):
        train(swap, resume=True, log_dir=tmp_path / "run")
