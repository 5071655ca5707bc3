import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching.engines.comparison import measure_difference


def measure(found, expected, precision="float32"):
    found, expected = ({"y": tf.constant(x)} for x in (found, expected))
    return measure_difference(found, expected, precision)


def test_values_are_compared_to_the_largest():
    assert measure([1.0, -4.0], [1.0, -4.0]) == 0
    assert measure([1.5, -4.0], [1.0, -4.0]) == pytest.approx(0.125)


def test_directions_are_compared_in_bfloat16():
    assert measure([2.0, 0.0], [1.0, 0.0], "bfloat16") == pytest.approx(0)
    assert measure([0.0, 1.0], [1.0, 0.0], "bfloat16") == pytest.approx(1)


def test_the_worst_tensor_counts():
    found = {"a": tf.constant([1.0]), "b": tf.constant([3.0])}
    expected = {"a": tf.constant([1.0]), "b": tf.constant([2.0])}
    assert measure_difference(found, expected, "float32") == 0.5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([1.0, np.nan], [1.0, 2.0]),
        ([1.0, 2.0], [1.0, np.nan]),
        ([1.0, np.inf], [1.0, -np.inf]),
        ([1.0, np.nan], [1.0, np.inf]),
        ([1.0], [0.0]),
        ([0.0], [1.0]),
        ([1, 2], [1, 3]),
        ([True], [False]),
        ([1], [1.0]),
        ([[1.0]], [1.0]),
    ],
)
def test_what_is_no_small_difference(found, expected, precision):
    assert measure(found, expected, precision) >= 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "values",
    [[1.0, np.nan, np.inf, -np.inf], [np.nan], [0.0], [3, 4], [True], ["a"]],
)
def test_the_same_is_the_same(values, precision):
    assert measure(values, values, precision) == 0
