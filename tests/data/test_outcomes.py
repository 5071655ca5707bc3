"""What is right and wrong is counted as scikit-learn does."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as scikit_confusion_matrix

from keras_transfer.data.outcomes import confusion_matrix, count_outcomes
from tests.board.test_class_report import LABELS, MATRIX, PREDICTIONS


def one_hot(labels, classes=6):
    return np.eye(classes, dtype="float32")[labels]


def sure(predictions, classes=6):
    return 0.05 + (1 - 0.05 * classes) * one_hot(predictions, classes)


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS[:, None], LABELS.astype("float32"), one_hot(LABELS)],
    ids=["integers", "column", "floats", "one-hot"],
)
@pytest.mark.parametrize("scale", [1, 30], ids=["probabilities", "logits"])
def test_single_label_outcomes(labels, scale):
    outputs = scale * sure(PREDICTIONS)
    np.testing.assert_array_equal(count_outcomes(labels, outputs), MATRIX)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_one_output_means_two_classes(shape):
    labels = np.array([0, 1, 1, 0]).reshape(shape)
    outputs = np.array([0.1, 0.4, 0.6, 0.2]).reshape(shape)
    expected = [[2, 0], [1, 1]]
    assert count_outcomes(labels, outputs).tolist() == expected
    logits = np.log(outputs / (1 - outputs))
    assert count_outcomes(labels, logits).tolist() == expected
    all_above_zero = count_outcomes(labels, outputs, from_logits=True)
    assert all_above_zero.tolist() == [[0, 2], [0, 2]]


def test_the_loss_settles_what_one_hot_labels_leave_open():
    labels, sigmoids = one_hot([0, 1], 2), np.array([[0.9, 0.7], [0.1, 0.2]])
    single = count_outcomes(labels, sigmoids)
    assert single.tolist() == [[1, 0], [0, 1]]
    multi = count_outcomes(labels, sigmoids, binary_loss=True)
    assert multi.tolist() == [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
    softmax = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert count_outcomes(labels, softmax, binary_loss=True).ndim == 2


@pytest.mark.parametrize(
    ("labels", "outputs"),
    [
        (np.array([0.5, 1.7]), np.array([[0.5], [0.2]])),
        (np.array([0.0, 7.0]), np.array([[0.5], [0.2]])),
        (np.array([-1.0, 1.0]), np.array([[0.5], [0.2]])),
        (np.array([[3.0, -1.0]]), np.array([[0.5, 0.2]])),
        (np.zeros((2, 4, 4)), np.zeros((2, 4, 4, 3))),
        (np.zeros((2, 3)), np.zeros((2, 5))),
        (np.array(["a", "b"]), np.zeros((2, 5))),
        (np.zeros(0), np.zeros((0, 3))),
    ],
)
def test_what_is_no_classifier_has_no_outcomes(labels, outputs):
    assert count_outcomes(labels, outputs) is None


def test_counts_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, (2, 200))
    np.testing.assert_array_equal(
        confusion_matrix(labels, predictions, 7),
        scikit_confusion_matrix(labels, predictions, labels=range(7)),
    )


def test_no_examples_give_zeros():
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("wrong", [-1, 3])
def test_unknown_classes_are_refused(wrong):
    with pytest.raises(ValueError, match=rf"in \[0, 3\).*labels.*{wrong}"):
        confusion_matrix([0, wrong], [0, 0], 3)
    with pytest.raises(ValueError, match=rf"predictions.*{wrong}"):
        confusion_matrix([0, 0], [0, wrong], 3)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\).*\(1,\)"):
        confusion_matrix([0, 1], [0], 2)
