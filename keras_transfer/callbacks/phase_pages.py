"""What each phase of a training trains, for TensorBoard."""

import contextlib
from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_transfer.backbones.layer_groups import count_weights
from keras_transfer.board.phase_text import phase_markdown
from keras_transfer.callbacks.companion import find_companions
from keras_transfer.freezing.summary import trainable_summary


class PhasePages:
    """Tells phases apart by what trains, and writes texts and curves of them.

    It writes to the summary writer that is the default one.
    """

    def __init__(self):
        self._number, self._reason = 0, ""
        self._next = (None, None)
        self._trained = None

    def name_next(self, name: str, number: int | None) -> None:
        """Name the phase that starts next, as `TransferBoard.name_phase`."""
        self._next = (name, number)

    def begin_fit(self) -> None:
        """Note that a `fit` begins, and with it a phase."""
        self._trained = None

    def look(self, model: keras.Model) -> bool:
        """Tell whether a model begins another phase with this epoch."""
        trained = {id(weight) for weight in model.trainable_weights}
        unfreezing = find_companions(model).get("GradualUnfreezing")
        self._reason = (
            "`fit` begins"
            if self._trained is None
            else "from here on, other weights are trainable"
        )
        if unfreezing is not None:
            self._reason = unfreezing.reason
            number = unfreezing.phase_number
            self._next = (unfreezing.phase.name, number)
            trained = (number, trained)
        is_new, self._trained = trained != self._trained, trained
        return is_new

    def write_texts(
        self, model: keras.Model, rates: Mapping[str, float], step: int
    ) -> None:
        """Write what the phase that begins trains.

        Args:
            model: The model.
            rates: The learning rate, or several, by name.
            step: Number of the epoch.
        """
        name, number = self._next
        self._next = (None, None)
        self._number = number or self._number + 1
        title = name or f"phase {self._number}"
        notes = {"why now": self._reason}
        text = phase_markdown(model, title, rates, notes)
        tf.summary.text("phase", text, step=step)
        with contextlib.suppress(ValueError):  # a model without groups
            table = trainable_summary(model)
            tf.summary.text("layer_groups", f"```\n{table}\n```", step=step)

    def write_curves(self, model: keras.Model, step: int) -> None:
        """Write which phase it is, and how much trains in it.

        Args:
            model: The model.
            step: Number of the epoch.
        """
        live, total = map(
            count_weights, (model.trainable_weights, model.weights)
        )
        for tag, value in (
            ("number", self._number),
            ("trainable_weights", live),
            ("trainable_share", live / max(total, 1)),
        ):
            tf.summary.scalar(f"phase/{tag}", value, step=step)
