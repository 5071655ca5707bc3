"""When a phase has nothing left to gain."""

import keras
import numpy as np

from keras_transfer.freezing.phase import Phase


class Plateau:
    """Watches one phase as `keras.callbacks.EarlyStopping` watches a `fit`.

    Args:
        model: The model that trains.
        phase: A `Phase`; without `patience` its plateau never comes.
    """

    def __init__(self, model: keras.Model, phase: Phase):
        self._stopping = None
        if phase.patience is not None:
            self._stopping = keras.callbacks.EarlyStopping(
                phase.monitor,
                min_delta=phase.min_delta,
                patience=phase.patience,
                mode=phase.mode,
                restore_best_weights=True,
            )
            self._stopping.set_model(model)
            self._stopping.on_train_begin()

    def has_come(self, epoch: int, logs: dict | None) -> bool:
        """Tell whether an epoch was one too many without improvement.

        Args:
            epoch: Number of the epoch that ends, counted from 0 in the phase.
            logs: What the epoch gave.
        """
        if self._stopping is None:
            return False
        model = self._stopping.model
        # It would end the whole training; another callback may have done so.
        stops = model.stop_training
        self._stopping.on_epoch_end(epoch, logs)
        model.stop_training = stops
        return self._stopping.stopped_epoch > 0

    def put_back_best_weights(self) -> None:
        """Give the model the best weights of the phase, if any are known."""
        if self._stopping and self._stopping.best_weights is not None:
            self._stopping.model.set_weights(self._stopping.best_weights)

    def get_state(self) -> tuple[dict, list[np.ndarray]]:
        """Return the state: what JSON can hold, and arrays."""
        if self._stopping is None:
            return {}, []
        best = self._stopping.best
        state = {
            "wait": self._stopping.wait,
            "best": None if best is None else float(best),
        }
        return state, self._stopping.best_weights or []

    def set_state(self, state: dict, arrays: list[np.ndarray]) -> None:
        """Go on from a state of the same phase."""
        if self._stopping is not None:
            self._stopping.wait = state["wait"]
            self._stopping.best = state["best"]
            self._stopping.best_weights = arrays or None
