import pytest
import tensorflow as tf

from keras_transfer.freezing.quiet_function import quiet_function


def loud_function(function):
    return tf.function(function, autograph=False, reduce_retracing=True)


@pytest.mark.parametrize("compile_it", [loud_function, quiet_function])
def test_many_models_are_no_loop(caplog, compile_it):
    def make(number):
        return compile_it(lambda x: x + number)

    with caplog.at_level("WARNING", "tensorflow"):
        for number in range(8):
            assert make(number)(tf.constant(1)) == 1 + number
    # If TensorFlow itself has stopped to warn, this is not needed any more.
    assert ("retracing" in caplog.text) == (compile_it is loud_function)
