"""A learning rate that changes from step to step, at no cost."""

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.freezing.optimizer_variables import optimizer_chain
from keras_transfer.optimizers.apply_hooks import (
    add_apply_hook,
    remove_apply_hook,
)


class StepSchedule:
    """Sets the learning rate of an optimizer as part of each of its steps.

    Unlike a schedule of Keras it leaves the rate a variable, which callbacks
    and files can read; unlike a callback it costs no time between steps, and
    sees each of them with `steps_per_execution`, too.

    Args:
        optimizer: A built optimizer. It follows the schedule until `detach`.
        learning_rates: The rate of each step; the last one stays.
    """

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, learning_rates: np.ndarray
    ):
        self._optimizer = optimizer_chain(optimizer)[-1]
        self._rates = tf.constant(learning_rates, "float32")
        self._first_step = tf.Variable(0, dtype="int64", trainable=False)
        add_apply_hook(self._optimizer, self._set_rate)

    def go_on_from(self, step: int) -> None:
        """Let the next step be a certain one of the schedule.

        Args:
            step: How many steps of the schedule have been made.
        """
        iterations = keras.ops.convert_to_numpy(self._optimizer._iterations)
        self._first_step.assign(int(iterations) - step)

    def detach(self) -> None:
        """Leave the optimizer at the rate that it has."""
        remove_apply_hook(self._optimizer, self._set_rate)

    def _set_rate(self, gradients, variables) -> None:
        optimizer = self._optimizer
        iterations = tf.cast(optimizer._iterations.value, "int64")
        step = tf.clip_by_value(
            iterations - self._first_step, 0, len(self._rates) - 1
        )
        optimizer._learning_rate.assign(tf.gather(self._rates, step))
