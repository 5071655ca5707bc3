import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching.repeatability import (
    drops_remainder,
    may_vary,
    shuffles,
)

GENERATOR = tf.random.Generator.from_seed(0)
NUMBERS = tf.data.Dataset.range(12)


def shuffle_within(data):
    return data.flat_map(lambda n: tf.data.Dataset.range(n).shuffle(3))


def generate():
    yield from range(3)


VARYING = {
    "random": NUMBERS.map(lambda n: tf.random.uniform([])),
    "generator": NUMBERS.map(lambda n: GENERATOR.normal([])),
    "nested": shuffle_within(NUMBERS),
    "twice nested": NUMBERS.interleave(lambda n: shuffle_within(NUMBERS)),
    "numpy": NUMBERS.map(lambda n: tf.numpy_function(np.exp, [n], "float64")),
    "python": tf.data.Dataset.from_generator(generate, output_types="int64"),
}


@pytest.mark.parametrize("name", VARYING)
def test_what_may_vary(name):
    data = VARYING[name].batch(2).prefetch(1)
    assert may_vary(data) and not shuffles(data)


def test_what_is_chosen_from_shuffled_data_may_vary():
    shuffled = NUMBERS.shuffle(12)
    for data in (shuffled.take(9), shuffled.skip(3), shuffled.shard(2, 0)):
        assert may_vary(data.batch(2))
    # A split as it is often made.
    once = NUMBERS.shuffle(12, reshuffle_each_iteration=False).take(9)
    assert not may_vary(once.batch(2)) and not shuffles(once.batch(2))


def test_what_stays_the_same():
    data = NUMBERS.map(lambda n: 2 * n, num_parallel_calls=2)
    data = data.interleave(tf.data.Dataset.range, num_parallel_calls=2)
    data = data.cache().batch(2)
    assert not may_vary(data) and not shuffles(data)
    assert not drops_remainder(data)


def test_what_shuffles():
    data = NUMBERS.map(lambda n: n, num_parallel_calls=2, deterministic=False)
    assert shuffles(data.batch(2)) and shuffles(NUMBERS.shuffle(3).batch(2))
    options = tf.data.Options()
    options.deterministic = False
    assert shuffles(NUMBERS.with_options(options).batch(2))


def test_what_drops_the_remainder():
    data = NUMBERS.batch(5, drop_remainder=True).prefetch(1)
    assert drops_remainder(data)
