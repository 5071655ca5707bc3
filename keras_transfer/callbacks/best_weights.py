"""Keep the best weights, over several fits if need be."""

import keras
import numpy as np

from keras_transfer.callbacks.companion import Companion


class BestWeights(Companion, keras.callbacks.Callback):
    """Put the best weights seen back into the model when `fit` ends.

    Unlike `EarlyStopping(restore_best_weights=True)` it never stops training
    and does not start anew with each `fit`: passed to several of them, it
    keeps the best of all, so that a later phase cannot end worse than an
    earlier one.

    Example:

    ```python
    best = kt.BestWeights()
    model.fit(train, validation_data=validation, epochs=5, callbacks=[best])
    model.fit(train, validation_data=validation, epochs=9, initial_epoch=5,
              callbacks=[best])
    ```

    Args:
        monitor: Name of the quantity to judge by. By default the validation
            accuracy, the loss deciding between equals, or the validation loss
            where there is no accuracy. Without validation data there is
            nothing to judge by, and the last weights stay.

    Attributes:
        best: Value of the monitored quantity at the best epoch, or `None`.
        best_epoch: Number of that epoch, counted from 0, or `None`.
    """

    def __init__(self, monitor: str | None = None):
        super().__init__()
        self.monitor = monitor
        self.best = None
        self.best_epoch = None
        self._score = None
        self._weights = None

    def on_epoch_end(self, epoch, logs=None):
        monitor, score = self._judge(logs or {})
        if monitor is None or not np.all(np.isfinite(score)):
            return
        if self._score is None or score > self._score:
            self.best, self.best_epoch = logs[monitor], epoch
            self._score = score
            self._weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self._weights is not None:
            self.model.set_weights(self._weights)

    def describe(self) -> str:
        """Say which weights were put back, if any."""
        if self.best_epoch is None:
            return ""
        return f"The weights are those of epoch {self.best_epoch + 1}."

    def get_state(self):
        score = self._score and [float(part) for part in self._score]
        best = None if self.best is None else float(self.best)
        state = {"best": best, "epoch": self.best_epoch, "score": score}
        return state, self._weights or []

    def set_state(self, state, arrays):
        self.best, self.best_epoch = state["best"], state["epoch"]
        self._score = state["score"] and tuple(state["score"])
        self._weights = arrays or None

    def _judge(self, logs: dict) -> tuple[str | None, tuple]:
        """Find the quantity to judge by, and its score: more is better."""
        accuracy, loss = "val_accuracy", "val_loss"
        monitor = self.monitor
        if monitor is None:
            monitor = accuracy if accuracy in logs else loss
        if monitor not in logs:
            return None, ()
        better_if_less = monitor.endswith(("loss", "error"))
        value = -logs[monitor] if better_if_less else logs[monitor]
        return monitor, (value, -logs.get(loss, 0.0))
