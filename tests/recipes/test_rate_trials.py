import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.recipes.rate_trials import (
    USUAL_RATE,
    choose_learning_rate,
    choose_rate,
    collect_batches,
)
from keras_transfer.recipes.validation_score import Score, score_answers
from tests import networks


def score(accuracy, minus_loss=0.0, examples=100):
    return Score(accuracy, minus_loss, examples)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ((0.70, 0.72, 0.71), 3e-4),  # luck
        ((0.70, 0.80, 0.71), 1e-4),  # more than luck
        ((0.90, 0.80, 0.71), 3e-5),
        ((0.70, 0.70, 0.90), 3e-4),
    ],
)
def test_the_usual_rate_stays_unless_another_is_clearly_better(
    accuracies, expected
):
    rates = (3e-5, 1e-4, 3e-4)
    scores = dict(zip(rates, map(score, accuracies), strict=True))
    assert USUAL_RATE == 3e-4 and choose_rate(scores) == expected


def test_the_standard_error_is_that_of_a_share():
    assert score(0.5).standard_error == pytest.approx(0.05, rel=0.01)
    assert 0 < score(1.0, examples=10).standard_error < 0.1


def spoilt_by_speed():
    """A classifier that is right until it has moved by a thousandth."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Rescaling(1e4),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    kernel = np.zeros((4, 2))
    kernel[0] = [-1e-3, 1e-3]
    model.layers[-1].set_weights([kernel, np.zeros(2)])
    return model, x, y


def test_a_rate_that_tears_the_model_apart_is_not_chosen():
    model, x, y = spoilt_by_speed()
    batches = [(x[n : n + 20], 1 - y[n : n + 20]) for n in range(0, 200, 20)]
    before = networks.values(model.variables)
    rate = choose_learning_rate(
        model, batches=batches, validation_data=(x, y), steps=30
    )
    assert rate == 3e-5
    assert not networks.moved(model.variables, before)
    assert not model.optimizer.built


def test_only_answers_can_be_compared():
    model = networks.unet()
    model.compile("adam", "mse")
    x = networks.batch_for(model, 2)
    y = np.zeros((2, 16, 16, 1))
    with pytest.raises(ValueError, match="pass a `learning_rate`"):
        choose_learning_rate(
            model, batches=[(x, y)], validation_data=(x, y), steps=1
        )


def test_batches_are_taken_from_the_start():
    x = np.arange(100)
    data = tf.data.Dataset.from_tensor_slices((x, x)).batch(8)
    batches = collect_batches(data, examples=20)
    assert [len(y) for _, y in batches] == [8, 8, 8]
    assert len(collect_batches(data)) == 13


@pytest.mark.parametrize("kind", ["softmax", "one-hot", "sigmoid"])
def test_scores_are_those_of_evaluate(kind):
    units = 1 if kind == "sigmoid" else 3
    activation = "sigmoid" if kind == "sigmoid" else "softmax"
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation=activation)]
    )
    loss = {
        "softmax": "sparse_categorical_crossentropy",
        "one-hot": "categorical_crossentropy",
        "sigmoid": "binary_crossentropy",
    }[kind]
    model.compile("sgd", loss, metrics=["accuracy"])
    x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    if kind == "one-hot":
        y = np.eye(3)[y]
    expected = model.evaluate(x, y, verbose=0)
    found = score_answers(model, (x, y))
    assert found.accuracy == pytest.approx(expected[1])
    assert -found.minus_loss == pytest.approx(expected[0], rel=1e-5)
    assert found.examples == 50
