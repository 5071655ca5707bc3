import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from keras_transfer.recipes.class_weights import (
    balanced_class_weights,
    weigh_batches,
)

LABELS = np.array([0] * 30 + [1] * 5 + [2] * 15)


def batches(labels):
    x = np.zeros((len(labels), 2), "float32")
    return tf.data.Dataset.from_tensor_slices((x, labels)).batch(8)


@pytest.mark.parametrize("kind", ["integers", "column", "one-hot"])
def test_weights_are_those_of_scikit_learn(kind):
    labels = {
        "integers": LABELS,
        "column": LABELS[:, None],
        "one-hot": np.eye(3)[LABELS],
    }[kind]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    found = balanced_class_weights(batches(labels), 3)
    assert found == pytest.approx(dict(enumerate(expected)))


def test_a_class_without_examples_has_no_weight():
    assert balanced_class_weights(batches(LABELS[:35]), 3).keys() == {0, 1}


def test_one_example_has_one_class():
    labels = np.eye(3)[LABELS]
    labels[3] = 1
    with pytest.raises(ValueError, match="one class an example"):
        balanced_class_weights(batches(labels), 3)


def test_labels_must_be_classes_of_the_model():
    with pytest.raises(ValueError, match=r"in \[0, 3\).* between 2 and 3"):
        balanced_class_weights(batches(LABELS + 1), 3)


def test_weights_of_batches_are_those_of_fit():
    [(x, y)] = batches(LABELS[:5]).as_numpy_iterator()
    weights = {0: 2.0, 1: 3.0}
    y = y + [0, 1, 0, 1, 2]
    [(same_x, same_y, weight)] = weigh_batches([(x, y)], weights)
    assert same_x is x and same_y is y
    assert weight.tolist() == [2, 3, 2, 3, 1]
    with pytest.raises(ValueError, match="sample weights.*class_weight="):
        weigh_batches([(x, y, weight)], weights)
