"""What a training forgets of what the model could do before."""

import keras
import numpy as np
from keras.src.utils import io_utils

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.caching.answers import (
    collect_answers,
    make_predict,
    tally_answers,
)
from keras_transfer.callbacks.data_replay import find_callbacks
from keras_transfer.callbacks.transfer_board import TransferBoard
from keras_transfer.data.labelled_batches import (
    check_labelled_data,
    iterate_batches,
)
from keras_transfer.forgetting.group_features import make_group_features
from keras_transfer.forgetting.linear_cka import chance_cka, linear_cka
from keras_transfer.freezing.weight_movement import WeightMovement

_EXAMPLES = 200


class ForgettingMonitor(keras.callbacks.Callback):
    """Measures after each epoch what is left of an old task.

    - `old_accuracy`: how much of the old data is still answered rightly. It
      is among the logs of the epoch, and so in `History`.
    - `cka/…`: how alike what each layer group makes of up to 200 old examples
      is to what it made of them before training, 1 where nothing has changed
      (`linear_cka`); and `cka_chance/…`, what features that have nothing in
      common would have.
    - `drift/…`: how far the weights of each group are from those before
      training, as a share of their norm.

    A `kt.TransferBoard` in the same `fit` shows all of them; without one they
    are in `rows`. The last row is of the model as training leaves it, after
    callbacks that come before this one have put back their best weights.

    A model with a new head cannot answer for the old task. If the old model
    shares its backbone with it, as with `kt.replace_head`, pass that one as
    `old_model`: its own head, on what becomes of the backbone, answers.

    Example:

    ```python
    new = kt.replace_head(old, new_names)
    monitor = kt.ForgettingMonitor(old_validation, old_model=old)
    kt.fine_tune(new, train, validation, callbacks=[monitor])
    print(monitor.describe())
    ```

    Args:
        old_data: Labelled data of the old task: a `tf.data.Dataset` or
            `keras.utils.PyDataset` of batches `(x, y)`, or a tuple of arrays.
            It must come in the same order each time.
        old_model: The model that answers for the old task. Defaults to the
            model that trains. Compiled or not; with a softmax or sigmoid.
        freq: Every how many epochs to measure. Defaults to 1.
        verbose: Whether to say at the end what was forgotten.

    Attributes:
        rows: A list of dicts, one for each measurement, with the keys
            `"epoch"` (0 before training, then counted from 1), `"accuracy"`
            (NaN if there is no telling), `"cka"`, `"chance"` and `"drift"`,
            dictionaries by layer group.

    Raises:
        ValueError: If an argument is not as described; and in `fit`, before
            the first step, if the model has no graph.
    """

    def __init__(
        self,
        old_data,
        *,
        old_model: keras.Model | None = None,
        freq: int = 1,
        verbose: bool = False,
    ):
        super().__init__()
        check_labelled_data(old_data)
        if old_data is None or freq < 1:
            raise ValueError(
                "`old_data` must be labelled data of the old task, and `freq` "
                "a number of epochs, 1 or more. Received: "
                f"old_data={old_data!r}, freq={freq!r}"
            )
        self.freq = freq
        self.verbose = verbose
        self.rows = []
        self._old_data = old_data
        self._old_model = old_model
        self._first = None

    def on_train_begin(self, logs=None):
        self.rows = []
        model = self.model
        groups = {group.name: group.variables for group in layer_groups(model)}
        self._movement = WeightMovement(groups)
        self._describe = make_group_features(model)
        self._few = _take(self._old_data, _EXAMPLES)
        self._first = self._compute_features()
        # One trace for all epochs.
        self._asked = self._old_model or model
        self._predict = make_predict(self._asked)
        self._measure(0)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.freq:
            return
        row = self._measure(epoch + 1)
        if logs is not None and not np.isnan(row["accuracy"]):
            logs["old_accuracy"] = row["accuracy"]
        board = _find_board()
        if board is not None:
            board.write_scalars(_name_scalars(row))

    def on_train_end(self, logs=None):
        self._measure(self.rows[-1]["epoch"])
        if self.verbose:
            io_utils.print_msg(self.describe())

    def describe(self) -> str:
        """Say in a sentence or two what was forgotten."""
        if not self.rows:
            return ""
        first, last = self.rows[0], self.rows[-1]
        sentences = []
        if not np.isnan(last["accuracy"]):
            sentences.append(
                f"On the old task the accuracy was {first['accuracy']:.3f} "
                f"before training, and is {last['accuracy']:.3f} now "
                f"({last['accuracy'] - first['accuracy']:+.3f})."
            )
        below = {n: c for n, c in last["cka"].items() if n != "head"}
        below = {n: c for n, c in below.items() if not np.isnan(c)}
        if below:
            name = min(below, key=below.get)
            sentences.append(
                f"What {name} makes of old examples has changed the most: its "
                f"CKA with what it was is {below[name]:.2f}, where 1 is the "
                f"same, and {last['chance'][name]:.2f} nothing in common."
            )
        return " ".join(sentences)

    def _measure(self, epoch: int) -> dict:
        features = self._compute_features()
        live = set(features)
        row = {
            "epoch": epoch,
            "accuracy": self._ask(),
            "cka": {n: linear_cka(self._first[n], features[n]) for n in live},
            "chance": {
                n: chance_cka(self._first[n], features[n]) for n in live
            },
            "drift": {
                name: drift
                for name, (drift, _) in self._movement.measure(live).items()
            },
        }
        for key in ("cka", "chance"):
            row[key] = {name: row[key][name] for name in self._first}
        self.rows.append(row)
        return row

    def _compute_features(self) -> dict[str, np.ndarray]:
        parts = [self._describe(x) for x in self._few]
        return {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}

    def _ask(self) -> float:
        """Return the accuracy on the old data, or NaN."""
        answers = collect_answers(self._asked, self._old_data, self._predict)
        if "" not in answers:
            return float("nan")
        outcomes = tally_answers(self._asked, *answers[""])
        if outcomes is None:
            return float("nan")
        right = np.trace(outcomes, axis1=-2, axis2=-1).sum()
        return float(right / outcomes.sum())


def _take(data, count: int) -> list:
    """Return the inputs of the first examples, in batches."""
    few = []
    for x, _ in iterate_batches(data):
        few.append(x if count >= _count(x) else _cut(x, count))
        count -= _count(few[-1])
        if count <= 0:
            break
    return few


def _count(x) -> int:
    return len(keras.tree.flatten(x)[0])


def _cut(x, count):
    return keras.tree.map_structure(lambda part: part[:count], x)


def _find_board() -> TransferBoard | None:
    boards = [c for c in find_callbacks() if isinstance(c, TransferBoard)]
    return boards[0] if boards else None


def _name_scalars(row) -> dict[str, float]:
    scalars = {}
    if not np.isnan(row["accuracy"]):
        scalars["old_task/accuracy"] = row["accuracy"]
    for key, prefix in (("cka", "cka"), ("chance", "cka_chance")):
        for name, value in row[key].items():
            if not np.isnan(value):
                scalars[f"{prefix}/{name}"] = value
    return scalars
