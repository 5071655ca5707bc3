"""Penalties on many variables that are put on, moved and removed together."""

import math
import weakref
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.forgetting.weight_penalty import (
    WeightPenalty,
    remove_penalty,
)


class WeightAnchor:
    """Holds variables to where they are, or to 0.

    Args:
        strength: The factor of all penalties, at least 0.
        anchored: Whether variables are held to the values that they have when
            they are held, or to 0. Defaults to `True`.
        name: What the strength is called in messages.

    Raises:
        ValueError: If the strength is no such number.
    """

    def __init__(
        self, strength: float, *, anchored: bool = True, name: str = "strength"
    ):
        self._name = name
        self._given = _check_strength(strength, name)
        self._anchored = anchored
        self._strength = None
        self._penalties = {}
        self._models = weakref.WeakSet()

    @property
    def strength(self) -> float:
        return self._given

    @strength.setter
    def strength(self, value: float):
        self._given = _check_strength(value, self._name)
        if self._penalties:
            self._strength.assign(self._given)

    @property
    def variables(self) -> tuple[keras.Variable, ...]:
        """The variables that are held."""
        return tuple(variable for variable, _ in self._penalties.values())

    def hold(
        self,
        model: keras.Model,
        variables: Sequence[keras.Variable],
        importances: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Put penalties on variables of a model.

        Args:
            model: The model. What it has compiled is made anew.
            variables: Variables that are not held yet.
            importances: For each variable, what its weights count, an array
                of its shape. Defaults to 1.
        """
        importances = importances or [None] * len(variables)
        # Its replicas, if it has several, each need these at hand.
        with model.distribute_strategy.scope():
            if self._strength is None:
                self._strength = tf.Variable(self._given, trainable=False)
            for variable, importance in zip(
                variables, importances, strict=True
            ):
                penalty = WeightPenalty(
                    variable,
                    self._strength,
                    anchored=self._anchored,
                    importance=importance,
                )
                variable.regularizer = penalty
                self._penalties[id(variable)] = variable, penalty
        self._models.add(model)
        _forget_compiled(model)

    def move(self, importances: Sequence[np.ndarray]) -> None:
        """Hold the variables to the values that they have now.

        Args:
            importances: For each of `variables`, what its weights count.
        """
        for (variable, penalty), importance in zip(
            self._penalties.values(), importances, strict=True
        ):
            penalty.anchor.assign(tf.cast(variable.value, penalty.anchor.dtype))
            penalty.importance.assign(importance)

    @property
    def importances(self) -> list[np.ndarray]:
        """What the weights of each of `variables` count, in its shape."""
        return [
            keras.ops.convert_to_numpy(penalty.importance)
            for _, penalty in self._penalties.values()
        ]

    def measure(self) -> float:
        """Add up the penalties on what is trainable now."""
        return math.fsum(
            float(penalty.measure(variable.value))
            for variable, penalty in self._penalties.values()
            if variable.trainable
        )

    def remove(self) -> None:
        """Take all penalties off again."""
        for variable, penalty in self._penalties.values():
            remove_penalty(variable, penalty)
        if self._penalties:
            # For functions that were compiled with them, of other models too.
            self._strength.assign(0.0)
            self._strength = None
        self._penalties.clear()
        for model in self._models:
            _forget_compiled(model)


def _forget_compiled(model) -> None:
    """Let a model compile anew what has its losses in it."""
    model.train_function = model.test_function = None


def _check_strength(value, name) -> float:
    is_number = isinstance(value, int | float | np.number)
    if isinstance(value, bool) or not is_number or not 0 <= value < math.inf:
        raise ValueError(
            f"`{name}` must be a number, at least 0, such as 0.01. "
            f"Received: {name}={value!r}"
        )
    return float(value)
