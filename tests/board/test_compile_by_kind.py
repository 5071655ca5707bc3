import numpy as np
import tensorflow as tf

from keras_transfer.board.compile_by_kind import compile_by_kind


def test_each_kind_is_traced_for_itself():
    traced = []

    def total(x):
        traced.append(x)
        return tf.add_n([tf.reduce_sum(part) for part in tf.nest.flatten(x)])

    call = compile_by_kind(total)
    for size in (8, 8, 3, 5):
        assert call(np.ones((size, 2), "float32")) == 2 * size
        assert call(tf.ones((size, 4))) == 4 * size
        assert call({"a": tf.ones((size, 1)), "b": tf.ones(size)}) == 2 * size
    # Once, and once more when the size turns out to vary.
    assert len(traced) == 6
