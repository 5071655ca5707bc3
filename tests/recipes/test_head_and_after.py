import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.recipes.head_and_after import HeadAndAfter


def train(accuracies, phases=2):
    """Train two phases; mean, end and head have the given accuracies."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    ending = HeadAndAfter(accuracies and iter(accuracies).__next__)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(model.get_weights())
    )
    given = [kt.Phase("all", 1, 0.1), kt.Phase("all", 2, 0.1)][:phases]
    x = np.ones((4, 2))
    model.fit(
        x,
        x[:, :1],
        epochs=sum(phase.epochs for phase in given),
        verbose=0,
        callbacks=[kt.GradualUnfreezing(given), ending, watch],
    )
    return ending, model.get_weights(), seen


@pytest.mark.parametrize(
    ("accuracies", "choice"),
    [
        ((0.5, 0.4, 0.4), "mean"),
        ((0.4, 0.5, 0.4), "end"),
        ((0.4, 0.4, 0.5), "head"),
        ((0.5, 0.5, 0.4), "mean"),
        ((0.5, 0.5, 0.5), "mean"),
        ((0.4, 0.5, 0.5), "end"),
    ],
)
def test_it_ends_with_the_best_of_head_mean_and_end(accuracies, choice):
    ending, found, (head, _, end) = train(accuracies)
    mean = [(a + b) / 2 for a, b in zip(head, end, strict=True)]
    expected = {"head": head, "end": end, "mean": mean}[choice]
    assert ending.choice == choice
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    text = {"head": "before", "end": "after", "mean": "mean"}[choice]
    assert text in ending.describe()


def test_without_validation_data_the_end_stays():
    ending, found, seen = train(None)
    assert ending.choice is None and ending.describe() == ""
    for a, b in zip(seen[-1], found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_phase_leaves_nothing_to_choose():
    ending, _, _ = train((), phases=1)
    assert ending.choice is None
