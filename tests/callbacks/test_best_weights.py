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


def test_an_accuracy_of_another_name(model):
    epochs = [
        (0, {"val_sparse_categorical_accuracy": 0.9, "val_loss": 2.0}),
        (1, {"val_sparse_categorical_accuracy": 0.8, "val_loss": 1.0}),
    ]
    assert play(kt.BestWeights(), model, epochs) == 0
    # Which of two decides is not ours to say.
    several = [(e, {**logs, "val_b_accuracy": 0}) for e, logs in epochs]
    assert play(kt.BestWeights(), model, several) == 1


@pytest.mark.parametrize("mode, expected", [("min", 0), ("max", 1)])
def test_a_quantity_of_ones_own(model, mode, expected):
    epochs = [(0, {"val_mine": 0.1}), (1, {"val_mine": 0.9})]
    assert play(kt.BestWeights("val_mine", mode), model, epochs) == expected
    with pytest.raises(ValueError, match="monitor=val_mine.*mode='max'"):
        play(kt.BestWeights("val_mine"), model, epochs)


def test_a_misspelt_quantity_is_told(model):
    epochs = [(n, {"val_accuracy": 0.5, "val_loss": 1.0}) for n in range(3)]
    with pytest.warns(UserWarning, match="monitor=val_acuracy") as told:
        play(kt.BestWeights("val_acuracy"), model, epochs)
    assert len(told) == 1
    # Epochs that are not validated (`validation_freq`) are nothing to tell.
    play(kt.BestWeights("val_loss"), model, [(0, {"loss": 1.0}), *epochs])


def test_another_model_starts_anew(model):
    best = kt.BestWeights()
    assert play(best, model, [(0, {"val_accuracy": 0.9})]) == 0
    other = keras.models.clone_model(model)
    assert play(best, other, [(1, {"val_accuracy": 0.2})]) == 1
    assert best.best == 0.2


@pytest.mark.parametrize(
    "name, best", [("mae", min), ("mse", min), ("mape", min), ("r2_score", max)]
)
def test_metrics_know_their_direction(model, name, best):
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.SGD(0.3), "mse", metrics=[name])
    x = np.linspace(-1, 1, 8)[:, None]
    callback = kt.BestWeights(f"val_{name}")
    history = model.fit(
        x,
        3 * x + 2,
        validation_data=(x, 3 * x + 2),
        epochs=4,
        verbose=0,
        callbacks=[callback],
    )
    values = history.history[f"val_{name}"]
    assert callback.best == best(values) != values[0]


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
