"""Choose between the head alone and what fine-tuning made of it."""

from collections.abc import Callable

import keras

from keras_transfer.callbacks.companion import Companion, find_companions

_CHOICES = {
    "head": "The weights are those before fine-tuning: it did not help.",
    "mean": "The weights are the mean of those before and after fine-tuning.",
    "end": "The weights are those after fine-tuning.",
}


class HeadAndAfter(Companion, keras.callbacks.Callback):
    """End with the weights that validation data is best with, of three.

    Those after the first phase of a `GradualUnfreezing`, those at the end,
    and the mean of the two, which is often better than either (Wortsman et
    al. 2022, "Robust fine-tuning of zero-shot models", arXiv:2109.01903) and
    is taken where it is as good. Choosing among three keeps luck out of it:
    the best of all epochs on little data is the luckiest.

    Args:
        measure: Returns the accuracy of the model as it is, on validation
            data; `None` keeps the weights at the end.

    Attributes:
        choice: `"head"`, `"mean"` or `"end"` when training has ended, or
            `None` if it did not get beyond the first phase.
    """

    def __init__(self, measure: Callable[[], float] | None):
        super().__init__()
        self.choice = None
        self._measure = measure
        self._head = None

    def on_epoch_begin(self, epoch, logs=None):
        unfreezing = find_companions(self.model)["GradualUnfreezing"]
        if self._head is None and unfreezing.phase_number > 1:
            self._head = self.model.get_weights()

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self._head is None or self._measure is None or self.choice:
            return
        end = self.model.get_weights()
        mean = [a + (b - a) / 2 for a, b in zip(self._head, end, strict=True)]
        # The first of equals wins.
        candidates = {"mean": mean, "end": end, "head": self._head}
        scores = {}
        for choice, weights in candidates.items():
            self.model.set_weights(weights)
            scores[choice] = self._measure()
        self.choice = max(scores, key=scores.get)
        self.model.set_weights(candidates[self.choice])

    def describe(self) -> str:
        """Say which weights the model has."""
        return _CHOICES.get(self.choice, "")

    def get_state(self):
        return {"choice": self.choice}, self._head or []

    def set_state(self, state, arrays):
        self.choice, self._head = state["choice"], arrays or None
