"""How large the gradients of each layer group are, from inside the step."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.freezing.optimizer_variables import optimizer_chain
from keras_transfer.optimizers.apply_hooks import (
    add_apply_hook,
    remove_apply_hook,
)


class GradientGauge:
    """Adds up squared gradients in the train step of a model.

    It reads what the optimizer is given, so that no gradient is computed
    twice: unscaled, and not clipped yet. It works in every train step that is
    traced after `attach`.

    Args:
        groups: The variables of each group, by its name.
    """

    def __init__(self, groups: Mapping[str, Sequence[keras.Variable]]):
        self._names = list(groups)
        self._variables = [list(variables) for variables in groups.values()]
        self._number_of = {
            id(variable): number
            for number, variables in enumerate(self._variables)
            for variable in variables
        }
        self._squares = tf.Variable(tf.zeros(len(self._names)))
        self._steps = tf.Variable(0.0)
        self._optimizer = self._counted = None

    def attach(self, model: keras.Model) -> None:
        """Count in each step that a compiled model makes from now on."""
        self._optimizer = optimizer_chain(model.optimizer)[-1]
        self._squares.assign(tf.zeros_like(self._squares))
        self._steps.assign(0.0)
        add_apply_hook(self._optimizer, self._add)
        if self._counted is None or model.train_function is not self._counted:
            model.make_train_function(force=True)

    def detach(self, model: keras.Model) -> None:
        """Leave the optimizer as it was."""
        # What was traced goes on counting.
        self._counted = model.train_function
        remove_apply_hook(self._optimizer, self._add)

    def read(self) -> dict[str, float]:
        """Return what was counted since the last call, and start anew.

        Returns:
            The root mean square over all steps of the norm of the gradient of
            each group that trained.
        """
        squares, steps = self._squares.numpy(), float(self._steps.numpy())
        self._squares.assign(tf.zeros_like(self._squares))
        self._steps.assign(0.0)
        return {
            name: float(np.sqrt(square / steps))
            for name, square in zip(self._names, squares, strict=True)
            if square != 0  # not a number is one to be seen
        }

    def _add(self, gradients, variables) -> None:
        squares = [[] for _ in self._names]
        scale = getattr(self._optimizer, "loss_scale_factor", None) or 1.0
        for gradient, variable in zip(gradients, variables, strict=True):
            number = self._number_of.get(id(variable))
            if gradient is not None and number is not None:
                values = tf.cast(_add_up_rows(gradient), "float32") / scale
                squares[number].append(tf.reduce_sum(tf.square(values)))
        self._squares.assign_add([tf.add_n(s) if s else 0.0 for s in squares])
        self._steps.assign_add(1.0)


def _add_up_rows(gradient) -> tf.Tensor:
    """Add up what an embedding got for the same row, and leave out the rest."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, places = tf.unique(gradient.indices)
    return tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
