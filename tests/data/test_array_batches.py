import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data.array_batches import batch_arrays

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.arange(10)


@pytest.mark.parametrize(
    "arrays",
    [
        (X, Y),
        (X, Y, np.linspace(0, 1, 10)),
        ({"a": X, "b": Y.astype("uint8")}, Y > 3),
        (tf.constant(X), Y),
        (X, np.array(list("abcdefghij"))),
        (X.tolist(), Y.tolist()),
    ],
    ids=["pair", "weights", "dictionary", "tensor", "texts", "lists"],
)
def test_they_are_what_tensorflow_makes_of_them(arrays):
    expected = tf.data.Dataset.from_tensor_slices(arrays).batch(4)
    found = batch_arrays(arrays, 4)
    assert found.element_spec == expected.element_spec
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_each_epoch_has_all_in_another_order():
    data = batch_arrays((X, Y), 4, shuffle=True, seed=1)
    epochs = [np.concatenate([y for _, y in data]).tolist() for _ in range(3)]
    assert all(sorted(epoch) == Y.tolist() for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) == 3


def test_arrays_are_kept_as_long_as_the_data_and_not_longer():
    x, y = X.copy(), Y.copy()
    seen = weakref.ref(x)
    data = batch_arrays((x, y), 4).map(lambda x, y: (2 * x, y))
    del x, y
    gc.collect()
    found = np.concatenate([x for x, _ in data])
    np.testing.assert_array_equal(found, 2 * X)
    del data
    gc.collect()
    assert seen() is None


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(
        ValueError, match=r"Received: arrays of lengths \[10, 9"
    ):
        batch_arrays((X, Y[:9]), 4)
    with pytest.raises(ValueError, match="There are no examples. Received"):
        batch_arrays((X[:0], Y[:0]), 4)
