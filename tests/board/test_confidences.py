"""Guesses read off a classifier's outputs."""

import keras
import numpy as np
import pytest

from keras_transfer.board.confidences import read_guesses
from keras_transfer.data.outcomes import confusion_matrix, count_outcomes

LABELS = np.array([0, 1, 2, 1])
OUTPUTS = np.array(
    [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]]
)


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS[:, None], LABELS.astype("float32"), np.eye(3)[LABELS]],
    ids=["integers", "column", "floats", "one-hot"],
)
def test_guesses_of_probabilities(labels):
    guesses = read_guesses(OUTPUTS, labels)
    assert guesses.labels.tolist() == LABELS.tolist()
    assert guesses.predictions.tolist() == [0, 0, 2, 1]
    assert guesses.is_right.tolist() == [True, False, True, True]
    np.testing.assert_allclose(guesses.confidences, [0.7, 0.5, 0.8, 0.5])
    np.testing.assert_allclose(guesses.margins, [0.5, 0.2, 0.7, 0.25])


def test_logits_become_probabilities():
    logits = np.random.default_rng(0).normal(0, 4, (20, 5))
    labels = np.arange(20) % 5
    softmax = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    ours, theirs = read_guesses(logits, labels), read_guesses(softmax, labels)
    for mine, yours in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, yours, atol=1e-6)


def test_logits_in_0_to_1_are_taken_for_logits_where_that_is_said():
    guesses = read_guesses([[0.9, 0.1]], [0], from_logits=True)
    np.testing.assert_allclose(guesses.confidences, 1 / (1 + np.exp(-0.8)))


def test_large_logits_do_not_overflow():
    for outputs in ([[1e4, -1e4]], [[-1e4]]):
        guesses = read_guesses(np.array(outputs), [0])
        assert guesses.is_right.tolist() == [True]
        assert guesses.confidences.tolist() == [1.0]


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_one_output_means_two_classes(shape):
    labels = np.array([0, 1, 1, 0]).reshape(shape)
    outputs = np.array([0.1, 0.4, 0.6, 0.5]).reshape(shape)
    guesses = read_guesses(outputs, labels)
    assert guesses.predictions.tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(guesses.confidences, [0.9, 0.6, 0.6, 0.5])
    np.testing.assert_allclose(guesses.margins, [0.4, 0.1, 0.1, 0.0])
    logits = np.log(outputs / (1 - outputs))
    again = read_guesses(logits, labels, from_logits=True)
    np.testing.assert_allclose(again.confidences, guesses.confidences)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("scale", [1, 8])
def test_predictions_are_those_that_are_counted(outputs, scale):
    rng = np.random.default_rng(0)
    values = scale * rng.random((40, outputs)) - (scale > 1)
    classes = max(outputs, 2)
    labels = rng.integers(0, classes, 40)
    guesses = read_guesses(values, labels)
    np.testing.assert_array_equal(
        confusion_matrix(guesses.labels, guesses.predictions, classes),
        count_outcomes(labels, values),
    )


def test_a_probability_a_little_above_1_is_no_logit():
    guesses = read_guesses([[1.0000001, 0.0]], [0])
    np.testing.assert_allclose(guesses.confidences, 1)


def test_no_examples_give_no_guesses():
    assert read_guesses(np.zeros((0, 3)), []).is_right.shape == (0,)


@pytest.mark.parametrize(
    "labels",
    [[0, 3], [-1, 0], [0.5, 1], [0], ["a", "b"], [[1, 1, 0], [0, 1, 0]]],
)
def test_labels_that_name_no_single_class_are_refused(labels):
    with pytest.raises(ValueError, match=r"\(2, 3\).*Received: labels="):
        read_guesses(np.full((2, 3), 0.3), labels)


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"Received: .*\(2, 3, 4\)"):
        read_guesses(np.zeros((2, 3, 4)), [0, 1])
