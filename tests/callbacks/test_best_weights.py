import keras
import numpy as np
import pytest

import keras_transfer as kt


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def play(callback, model, epochs):
    """Let a callback see a fit whose weights are the number of the epoch."""
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, logs in epochs:
        model.set_weights([np.full((1, 1), epoch), np.zeros(1)])
        callback.on_epoch_end(epoch, logs)
    callback.on_train_end()
    return int(model.get_weights()[0].item())


def test_accuracy_decides_and_loss_between_equals(model):
    epochs = [
        (0, {"val_accuracy": 0.5, "val_loss": 1.0}),
        (1, {"val_accuracy": 0.9, "val_loss": 3.0}),
        (2, {"val_accuracy": 0.9, "val_loss": 2.0}),
        (3, {"val_accuracy": 0.9, "val_loss": 2.5}),
        (4, {"val_accuracy": 0.8, "val_loss": 0.1}),
    ]
    best = kt.BestWeights()
    assert play(best, model, epochs) == 2
    assert (best.best, best.best_epoch) == (0.9, 2)


def test_a_later_fit_cannot_end_worse(model):
    best = kt.BestWeights()
    assert play(best, model, [(0, {"val_accuracy": 0.7})]) == 0
    later = [(1, {"val_accuracy": 0.6}), (2, {"val_accuracy": 0.65})]
    assert play(best, model, later) == 0
    assert play(best, model, [(3, {"val_accuracy": 0.71})]) == 3


def test_loss_decides_where_there_is_no_accuracy(model):
    epochs = [(0, {"val_loss": 2.0}), (1, {"val_loss": 1.0})]
    assert play(kt.BestWeights(), model, epochs) == 1


def test_a_metric_of_ones_own(model):
    epochs = [
        (0, {"val_accuracy": 0.9, "val_auc": 0.1}),
        (1, {"val_accuracy": 0.1, "val_auc": 0.9}),
    ]
    assert play(kt.BestWeights("val_auc"), model, epochs) == 1
    errors = [(0, {"val_mean_absolute_error": 1}), (1, {"loss": 0})]
    assert play(kt.BestWeights("val_mean_absolute_error"), model, errors) == 0


def test_without_validation_the_last_weights_stay(model):
    best = kt.BestWeights()
    assert play(best, model, [(0, {"loss": 1.0}), (1, {"loss": 2.0})]) == 1
    assert best.best is None


def test_a_diverged_epoch_is_never_the_best(model):
    epochs = [
        (0, {"val_accuracy": 0.5, "val_loss": 1.0}),
        (1, {"val_accuracy": 0.9, "val_loss": float("nan")}),
    ]
    assert play(kt.BestWeights(), model, epochs) == 0


def test_in_a_real_fit(model):
    x = np.arange(8.0)[:, None]
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.SGD(1.0), "mse")  # diverges
    best = kt.BestWeights()
    history = model.fit(
        x,
        x,
        validation_data=(x, x),
        epochs=3,
        verbose=0,
        callbacks=[best],
    )
    losses = history.history["val_loss"]
    assert best.best_epoch == int(np.argmin(losses)) == 0
    assert model.evaluate(x, x, verbose=0) == pytest.approx(losses[0])
