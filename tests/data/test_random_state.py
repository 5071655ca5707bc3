import json
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state

from keras_transfer.data.random_state import (
    capture_random_state,
    restore_random_state,
)

X = np.ones((4, 8), "float32")


def new_dropout():
    return keras.layers.Dropout(0.5)(X, training=True)


def new_model():
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dropout(0.5)]
    )
    return model(X, training=True)


DRAWS = {
    "random": random.random,
    "random.gauss": lambda: random.gauss(0, 1),
    "numpy": lambda: np.random.normal(size=3),
    "numpy integers": lambda: np.random.permutation(20),
    "keras.random": lambda: keras.random.normal((3,)),
    "keras.random.shuffle": lambda: keras.random.shuffle(np.arange(30)),
    "a new dropout": new_dropout,
    "a new initializer": lambda: keras.initializers.GlorotUniform()((2, 3)),
    "a new model": new_model,
    "tf.random": lambda: tf.random.normal((3,)),
    "tf.random.uniform": lambda: tf.random.uniform((3,)),
    "tf.random.shuffle": lambda: tf.random.shuffle(tf.range(30)),
    "tf.data": lambda: list(
        tf.data.Dataset.range(30).shuffle(30).as_numpy_iterator()
    ),
    "generator": lambda: tf.random.get_global_generator().normal((3,)),
}


def draw(name):
    value = DRAWS[name]()
    return np.asarray(keras.ops.convert_to_numpy(value)).tolist()


def draw_all():
    return [draw(name) for name in DRAWS]


def warm_up():
    """Bring every source to where a program in its middle would be."""
    tf.random.set_global_generator(tf.random.Generator.from_seed(5))
    draw_all()
    # The second of a pair of Gaussian numbers is kept for the next call.
    random.gauss(0, 1)
    np.random.normal()


@pytest.mark.parametrize("name", DRAWS)
def test_each_source_goes_on_from_where_it_was(name):
    warm_up()
    state = capture_random_state()
    first = [draw(name) for _ in range(3)]
    assert draw(name) != first[0]
    restore_random_state(state)
    assert [draw(name) for _ in range(3)] == first


def test_all_sources_together_through_json():
    warm_up()
    state = json.loads(json.dumps(capture_random_state()))
    first = draw_all()
    for _ in range(2):
        restore_random_state(state)
        assert draw_all() == first


def test_capturing_draws_nothing():
    warm_up()
    assert capture_random_state() == capture_random_state()


def test_a_seed_set_in_between_is_undone():
    warm_up()
    state = capture_random_state()
    first = draw_all()
    keras.utils.set_random_seed(99)
    tf.random.set_global_generator(tf.random.Generator.from_seed(7))
    draw_all()
    restore_random_state(state)
    assert keras.src.utils.rng_utils.get_random_seed() == 0
    assert draw_all() == first


def test_what_was_not_there_is_not_there_again():
    name = "global_seed_generator"
    assert global_state.get_global_attribute(name) is None
    state = capture_random_state()
    first = [draw("keras.random"), draw("a new dropout")]
    assert state["keras"]["generator"] is None
    restore_random_state(state)
    assert global_state.get_global_attribute(name) is None
    assert [draw("keras.random"), draw("a new dropout")] == first


def test_without_a_seed_tensorflow_stays_without():
    tf.random.set_seed(None)
    state = capture_random_state()
    tf.random.set_seed(3)
    restore_random_state(json.loads(json.dumps(state)))
    assert draw("tf.random") != draw("tf.random")
    assert capture_random_state()["tensorflow"]["seed"] is None


def test_traced_functions_follow():
    @tf.function
    def noise():
        return keras.random.normal((3,))

    keras.random.normal((1,))
    noise()
    state = capture_random_state()
    first = noise().numpy().tolist()
    restore_random_state(state)
    assert noise().numpy().tolist() == first


def test_operations_with_a_seed_go_on_where_nothing_else_drew():
    def run(restore):
        tf.random.set_seed(0)
        first = tf.random.normal((3,), seed=5).numpy()
        if restore:
            state = capture_random_state()
            keras.random.normal((3,))
            restore_random_state(state)
        return first, tf.random.normal((3,), seed=5).numpy()

    np.testing.assert_array_equal(run(True), run(False))


def test_another_bit_generator_of_numpy():
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.Philox(3))
    try:
        np.random.normal(size=3)
        state = json.loads(json.dumps(capture_random_state()))
        first = np.random.normal(size=3).tolist()
        restore_random_state(state)
        assert np.random.normal(size=3).tolist() == first
    finally:
        np.random.set_bit_generator(before)


def test_the_state_is_plain():
    warm_up()

    def check(value):
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                check(item)
        else:
            assert value is None or type(value) in (int, str)

    check(capture_random_state())


@pytest.mark.parametrize("state", [{}, {"python": 1}, None, [1]])
def test_another_state_is_refused(state):
    with pytest.raises(ValueError, match="Received: state="):
        restore_random_state(state)


def test_another_process_goes_on(tmp_path):
    warm_up()
    file = tmp_path / "state.json"
    file.write_text(json.dumps(capture_random_state()))
    expected = draw_all()
    script = (
        "import json, sys\n"
        "import tests.conftest\n"
        "from tests.data import test_random_state as here\n"
        "state = json.load(open(sys.argv[1]))\n"
        "here.restore_random_state(state)\n"
        "sys.stdout.write('DRAWN' + json.dumps(here.draw_all()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout.split("DRAWN")[1]) == expected
