"""How long each phase took, and what came of it."""

import time
from collections.abc import Callable

import keras

from keras_transfer.backbones.layer_groups import count_weights
from keras_transfer.callbacks.companion import Companion, find_companions
from keras_transfer.recipes.report import PhaseRecord


class PhaseRecorder(Companion, keras.callbacks.Callback):
    """Records each phase of a `GradualUnfreezing` that comes before it.

    Args:
        measure: Returns the accuracy of the model as it is.

    Attributes:
        before: What `measure` returned before the first step.
        records: List of `PhaseRecord`, complete when training has ended.
    """

    def __init__(self, measure: Callable[[], float]):
        super().__init__()
        self.before = None
        self.records = []
        self._measure = measure
        self._running = None

    def on_epoch_begin(self, epoch, logs=None):
        unfreezing = find_companions(self.model)["GradualUnfreezing"]
        number = unfreezing.phase_number
        if self.before is None:
            # Not sooner: what is frozen may be cached now.
            self.before = self._measure()
        if self._running is None or self._running["number"] != number:
            self._close()
            weights = self.model.trainable_weights, self.model.weights
            self._running = {
                "number": number,
                "name": unfreezing.phase.name,
                "epochs": 0,
                "seconds": 0.0,
                "trainable": [count_weights(part) for part in weights],
            }
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self._running["epochs"] += 1
        self._running["seconds"] += time.perf_counter() - self._start

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self._close()

    def _close(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            self.records.append(
                PhaseRecord(
                    running["name"],
                    running["epochs"],
                    running["seconds"],
                    self._measure(),
                    tuple(running["trainable"]),
                )
            )

    def get_state(self):
        records = [vars(record) for record in self.records]
        state = {"before": self.before, "records": records}
        return {**state, "running": self._running}, []

    def set_state(self, state, arrays):
        self.before = state.get("before")
        self.records = [
            PhaseRecord(**{**record, "trainable": tuple(record["trainable"])})
            for record in state["records"]
        ]
        self._running = state["running"]
