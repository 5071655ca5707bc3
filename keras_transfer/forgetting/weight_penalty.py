"""A penalty on one variable, beside the regularizer that it has."""

import keras
import numpy as np
import tensorflow as tf


class WeightPenalty:
    """Gives `strength / 2 * sum(importance * (w - anchor)²)` for a variable.

    It is a regularizer: Keras adds it to the losses of every model in which
    the variable is trainable. Strength, anchor and importance are variables
    that no model knows: what was compiled sees new values of them.

    Args:
        variable: The variable, whose regularizer is kept beside this one.
        strength: A scalar `tf.Variable`.
        anchored: Whether the anchor is the value of the variable now, or 0.
        importance: What each weight of the variable counts, an array of its
            shape. Defaults to 1.

    Attributes:
        before: The regularizer that the variable had, or `None`.
        anchor: A `tf.Variable`, or `None` for 0.
        importance: A `tf.Variable`, or `None` for 1.
    """

    def __init__(
        self,
        variable: keras.Variable,
        strength: tf.Variable,
        *,
        anchored: bool,
        importance: np.ndarray | None = None,
    ):
        self.before = variable.regularizer
        self.anchor = self.importance = None
        self._strength = strength
        self._dtype = full_dtype(variable)
        if anchored:
            self.anchor = self._keep(variable.value)
        if importance is not None:
            self.importance = self._keep(importance)

    def __call__(self, weights):
        penalty = self.measure(weights)
        if self.before is None:
            return penalty
        return tf.cast(self.before(weights), penalty.dtype) + penalty

    def measure(self, weights) -> tf.Tensor:
        """Compute this penalty alone, a scalar.

        Args:
            weights: The values of the variable.
        """
        distance = tf.cast(weights, self._dtype)
        if self.anchor is not None:
            distance = distance - self.anchor
        squares = tf.square(distance)
        if self.importance is not None:
            squares = squares * self.importance
        half = tf.cast(self._strength, self._dtype) / 2
        return half * tf.reduce_sum(squares)

    def _keep(self, value) -> tf.Variable:
        value = keras.ops.convert_to_numpy(value)
        return tf.Variable(value, dtype=self._dtype, trainable=False)


def remove_penalty(variable: keras.Variable, penalty: WeightPenalty) -> None:
    """Take a penalty off a variable, and leave those put on after it.

    Args:
        variable: The variable.
        penalty: The penalty. Where it is gone already, nothing happens.
    """
    above, found = None, variable.regularizer
    while isinstance(found, WeightPenalty) and found is not penalty:
        above, found = found, found.before
    if found is not penalty:
        return
    if above is None:
        variable.regularizer = penalty.before
    else:
        above.before = penalty.before


def full_dtype(variable: keras.Variable) -> str:
    """Return a dtype in which squares of a variable do not overflow."""
    return "float64" if variable.dtype == "float64" else "float32"
