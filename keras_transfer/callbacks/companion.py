"""Callbacks of one `fit` that can be found, saved and restored."""

import weakref

import keras
import numpy as np

_COMPANIONS = weakref.WeakKeyDictionary()


class Companion:
    """A base for callbacks with a state that outlives the process.

    `PhaseBackup` finds those that train the same model, and keeps their state
    with that of the model. Derive from it first, then from a Keras callback.
    """

    def set_model(self, model):
        super().set_model(model)
        # Weak: a callback holds its model, which would never go.
        fellows = _COMPANIONS.setdefault(model, weakref.WeakValueDictionary())
        fellows[type(self).__name__] = self

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        _COMPANIONS[self.model].pop(type(self).__name__, None)

    def get_state(self) -> tuple[dict, list[np.ndarray]]:
        """Return the state: what JSON can hold, and arrays."""
        raise NotImplementedError

    def set_state(self, state: dict, arrays: list[np.ndarray]) -> None:
        """Go on from a state; called before the first epoch of a `fit`."""
        raise NotImplementedError


def find_companions(model: keras.Model) -> dict[str, Companion]:
    """Return the companions that train a model, by the name of their class."""
    return dict(sorted(_COMPANIONS.get(model, {}).items()))
