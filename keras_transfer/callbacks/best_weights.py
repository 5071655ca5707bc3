"""Keep the best weights, over several fits if need be."""

import warnings

import keras
import numpy as np
from keras.src.callbacks.monitor_callback import MonitorCallback

from keras_transfer.callbacks.companion import Companion


class BestWeights(Companion, MonitorCallback):
    """Put the best weights seen back into the model when `fit` ends.

    Unlike `EarlyStopping(restore_best_weights=True)` it never stops training
    and does not start anew with each `fit`: passed to several of them, it
    keeps the best of all, so that a later phase cannot end worse than an
    earlier one. In the list of callbacks it comes after `GradualUnfreezing`.

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
        mode: `"min"`, `"max"` or `"auto"`, as in
            `keras.callbacks.EarlyStopping`. Defaults to `"auto"`: losses and
            errors are to be small, and metrics say it themselves.

    Attributes:
        best: Value of the monitored quantity at the best epoch, or `None`.
        best_epoch: Number of that epoch, counted from 0, or `None`.
    """

    def __init__(self, monitor: str | None = None, mode: str = "auto"):
        super().__init__(monitor, mode)
        self._forget()

    def _forget(self):
        self.best = None
        self.best_epoch = None
        self._score = None
        self._weights = None

    def set_model(self, model):
        if model is not self.model:
            self._forget()
        super().set_model(model)

    def on_train_begin(self, logs=None):
        self._warned = False

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        monitor = self.monitor or _find_monitor(logs)
        if monitor not in logs:
            self._warn(logs)
            return
        # The loss decides between equals.
        value = -logs[monitor] if self._is_cost(monitor) else logs[monitor]
        score = (value, -logs.get("val_loss", 0.0))
        if not np.all(np.isfinite(score)):
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

    def _is_cost(self, monitor: str) -> bool:
        """Tell whether less is better."""
        if self.mode == "auto" and monitor.endswith(("loss", "error")):
            return True
        if self.monitor is None:
            return False
        if self.monitor_op is None:
            self._set_monitor_op()
        return self.monitor_op is keras.ops.less

    def _warn(self, logs: dict) -> None:
        has_validation = any(name.startswith("val_") for name in logs)
        is_missing = self.monitor and (
            has_validation or not self.monitor.startswith("val_")
        )
        if is_missing and not self._warned:
            self._warned = True
            warnings.warn(
                "`BestWeights` keeps no weights of an epoch without the "
                f"quantity that it monitors. Received: monitor={self.monitor}, "
                f"and the quantities {sorted(logs)}",
                stacklevel=2,
            )


def _find_monitor(logs: dict) -> str:
    found = [
        name
        for name in logs
        if name.startswith("val_") and name.endswith("accuracy")
    ]
    if "val_accuracy" in found:
        return "val_accuracy"
    return found[0] if len(found) == 1 else "val_loss"
