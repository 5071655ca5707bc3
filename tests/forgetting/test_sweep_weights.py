import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_transfer.board.drawing import render_figure
from keras_transfer.forgetting.interpolate_weights import interpolate_weights
from keras_transfer.forgetting.sweep_weights import sweep_weights
from tests.networks import build, train


def linear(kernel, compiled=True):
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(2, use_bias=False, activation="softmax"),
        ]
    )
    model.set_weights([np.array(kernel, "float32")])
    if compiled:
        model.compile(
            loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
    return model


# The one looks at the first input, the other at the second.
BEFORE, AFTER = [[0, 1], [0, 0]], [[0, 0], [0, 1]]


def tasks():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2)).astype("float32")
    old = x, (x[:, 0] > 0).astype("int32")
    new = x, (x @ [0.4, 1] > 0).astype("int32")
    return new, old


def test_rows_are_what_keras_evaluates():
    new, old = tasks()
    before, after = linear(BEFORE), linear(AFTER)
    sweep = sweep_weights(
        before, after, new, alphas=[1, 0, 0.25, 0.7, 0.7], old_data=old
    )
    assert [row["alpha"] for row in sweep.rows] == [0, 0.25, 0.7, 1]
    for row in sweep.rows:
        model = interpolate_weights(before, after, row["alpha"])
        for data, prefix in ((new, ""), (old, "old_")):
            loss, accuracy = model.evaluate(*data, verbose=0)
            assert row[f"{prefix}accuracy"] == pytest.approx(accuracy)
            assert row[f"{prefix}loss"] == pytest.approx(loss, rel=1e-4)
    accuracies = {row["alpha"]: row["accuracy"] for row in sweep.rows}
    assert sweep.best == 0.7 == max(accuracies, key=accuracies.get)
    found = sweep.model.evaluate(*new, verbose=0)[1]
    assert found == pytest.approx(accuracies[0.7])


def test_the_smallest_of_equals_is_the_best():
    new, _ = tasks()
    model = linear(AFTER)
    sweep = sweep_weights(model, model, new)
    assert sweep.best == 0 and len(sweep.rows) == 11


def test_without_a_loss_there_is_accuracy():
    new, _ = tasks()
    pair = (linear(kernel, compiled=False) for kernel in (BEFORE, AFTER))
    sweep = sweep_weights(*pair, new, alphas=(0.5,))
    assert sweep.rows[0]["loss"] is None
    assert "loss" not in str(sweep)


def test_it_prints_a_table_and_draws():
    new, old = tasks()
    ends = linear(BEFORE), linear(AFTER)
    sweep = sweep_weights(*ends, new, old_data=old, alphas=(0, 0.7, 1))
    text = str(sweep)
    assert "old accuracy" in text and "alpha=0.7" in text
    assert len(text.splitlines()) == 5
    for chosen in (sweep, sweep_weights(*ends, new, alphas=(0, 0.7, 1))):
        figure = chosen.plot()
        assert isinstance(figure, Figure)
        assert render_figure(figure).shape == (450, 800, 3)
    assert figure.axes[0].get_xlabel() == "alpha"


def test_the_best_model_has_right_statistics():
    before, after = build("cnn"), build("cnn")
    x = np.random.default_rng(0).normal(size=(24, 8, 8, 3)).astype("float32")
    train(after, x, epochs=2)
    after.compile(loss=keras.losses.SparseCategoricalCrossentropy(True))
    data = x, np.arange(24) % 3
    sweep = sweep_weights(
        before, after, data, alphas=(0.5,), train_data=(x, data[1])
    )
    model = sweep.model
    maps = model.get_layer("first_conv")(x).numpy()
    mean = model.get_layer("first_bn").moving_mean
    np.testing.assert_allclose(mean, maps.mean((0, 1, 2)), atol=1e-5)


def test_what_cannot_be_compared_is_refused():
    model, (new, _) = linear(BEFORE), tasks()
    with pytest.raises(ValueError, match="Received: alpha=2"):
        sweep_weights(model, model, new, alphas=(0, 2))
    with pytest.raises(ValueError, match=r"Received: alphas=\[\]"):
        sweep_weights(model, model, new, alphas=())
    with pytest.raises(ValueError, match="by the accuracy of a classifier"):
        sweep_weights(model, model, (new[0], new[1] + 0.5))
