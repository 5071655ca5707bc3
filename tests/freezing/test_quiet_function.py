import pytest
import tensorflow as tf

from keras_transfer.freezing.quiet_function import quiet_function

# A function of its own for each: TensorFlow warns twice of the same code.


def make_loud(number):
    return tf.function(
        lambda x: x + number, autograph=False, reduce_retracing=True
    )


def make_quiet(number):
    return quiet_function(lambda x: x + number)


@pytest.mark.parametrize("make", [make_loud, make_quiet])
def test_many_models_are_no_loop(caplog, make):
    with caplog.at_level("WARNING", "tensorflow"):
        for number in range(8):
            assert make(number)(tf.constant(1)) == 1 + number
    # If TensorFlow itself has stopped to warn, this is not needed any more.
    assert ("retracing" in caplog.text) == (make is make_loud)
