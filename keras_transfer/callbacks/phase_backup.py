"""Go on with a training that was interrupted."""

import hashlib
import json
import os
import warnings

import keras
import numpy as np
from keras.src.utils import io_utils

from keras_transfer.callbacks.companion import find_companions
from keras_transfer.callbacks.data_replay import (
    find_epoch_iterator,
    is_code,
    replay_epochs,
)
from keras_transfer.callbacks.state_file import read_state, write_state
from keras_transfer.data.random_state import (
    capture_random_state,
    restore_random_state,
)
from keras_transfer.freezing.optimizer_variables import optimizer_chain

FILE = "training_state"


class PhaseBackup(keras.callbacks.Callback):
    """Go on after a crash: same phase, same weights, as if nothing had been.

    The whole state of the training is kept in a folder, as each epoch begins:
    weights, optimizer (slots, step count, learning rate), phase, what trains,
    plateau counters and best weights (`GradualUnfreezing`, `BestWeights`),
    history, and all random states. Run the same script again, and `fit` goes
    on with the epoch that was interrupted. With fixed seeds it ends with the
    very weights of a training that was not: the data, too, is brought to
    where it was, by drawing the batches of the epochs before once more. Where
    that cannot be, a warning says so, once.

    `keras.callbacks.BackupAndRestore` cannot do that: across an unfreezing,
    it goes on frozen, without the optimizer's state, and reports success.

    The state is written to a new file, which then takes the place of the
    last: a crash while writing loses nothing. A training that has ended is
    not trained again; its weights and history come back, and a line says so.
    A callback that sets `stop_training` has ended it as well.

    Example:

    ```python
    keras.utils.set_random_seed(0)
    ...
    model.fit(
        train,
        validation_data=validation,
        epochs=20,
        callbacks=[kt.GradualUnfreezing(phases), kt.PhaseBackup("backup")],
    )
    ```

    Args:
        directory: Folder for the state of this one training. It is made.

    Attributes:
        has_resumed: Whether the `fit` that is running goes on with another.

    Raises:
        ValueError: If `directory` is empty. And in `fit`, before the first
            step: if the model is not built; if the file in the folder is
            damaged, or belongs to another model, another optimizer or other
            phases.
    """

    def __init__(self, directory: str | os.PathLike):
        super().__init__()
        if not directory:
            raise ValueError(
                "A training must have a folder for its state. "
                f"Received: directory={directory!r}"
            )
        self.directory = os.fspath(directory)
        self._path = os.path.join(self.directory, FILE)
        self.has_resumed = False

    def on_train_begin(self, logs=None):
        if not self.model.built:
            raise ValueError(
                "A model must be built before its state can be kept: call it "
                "on a batch, or give it an `Input` layer. "
                f"Received: model={self.model!r}"
            )
        # Now, when all callbacks know their model, and none has left.
        self._companions = find_companions(self.model)
        self._history = None
        self._is_due = False
        self._random = None
        self._first_epoch = self._epoch = None
        self._start = _digest(capture_random_state())
        found = read_state(self._path)
        self.has_resumed = found is not None
        if found is not None:
            self._restore(*found)

    def on_epoch_begin(self, epoch, logs=None):
        if self._history is not None:
            # Keras would go on from there in the next `fit`, too.
            self.model._initial_epoch = None
            self._put_back_history()
        if self._random is not None:
            restore_random_state(self._random)
            self._random = None
        if self._first_epoch is None:
            self._first_epoch = epoch
        self._is_due = True
        self._epoch = epoch
        self._random_now = capture_random_state()

    def on_train_batch_begin(self, batch, logs=None):
        # When all callbacks have begun the epoch, whatever their order.
        if self._is_due:
            self._is_due = False
            self._build_optimizer()
            self._save(self._epoch)

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None
        if self._epoch is None:  # it had ended before
            self._put_back_history()
            # Where there are moving averages, `fit` has put them in place.
            self._assign(*self._values)
            return
        self._random_now = capture_random_state()
        self._save(self._epoch + 1, has_ended=self.model.stop_training)

    def _save(self, epoch: int, has_ended: bool = False) -> None:
        arrays, companions = [], {}

        def add(more):
            arrays.extend(map(keras.ops.convert_to_numpy, more))
            return len(more)

        weights, slots = self._variables()
        history = self.model.history
        header = {
            "epoch": epoch,
            "first_epoch": self._first_epoch,
            "steps": self.params["steps"],
            "has_ended": has_ended,
            "history": _plain(history.history),
            "epochs": list(history.epoch),
            "random": self._random_now,
            "start": self._start,
            "optimizer": _describe_optimizer(self.model.optimizer),
            "weights": add(weights),
            "slots": add(slots),
            "companions": companions,
        }
        for name, companion in self._companions.items():
            state, its_arrays = companion.get_state()
            companions[name] = {"state": state, "arrays": add(its_arrays)}
        write_state(self._path, header, arrays)

    def _restore(self, header: dict, arrays: list[np.ndarray]) -> None:
        arrays = iter(arrays)

        def take(count):
            return [next(arrays) for _ in range(count)]

        weights, slots = take(header["weights"]), take(header["slots"])
        self._check(header, weights)
        for name, entry in header["companions"].items():
            state, count = entry["state"], entry["arrays"]
            self._companions[name].set_state(state, take(count))
        # Only now does the optimizer know all that the phases train.
        self._build_optimizer()
        for variables, values in zip(
            self._variables(), (weights, slots), strict=True
        ):
            self._check_shapes(variables, values)
        self._assign(weights, slots)
        self._history = header["history"], header["epochs"]
        self._first_epoch = header["first_epoch"]
        epoch, end = header["epoch"], self.params["epochs"]
        self.model._initial_epoch = epoch
        if self.params["steps"] != header["steps"]:
            warnings.warn(
                f"The training in {self.directory} had {header['steps']} "
                "steps in an epoch: it was on other data. To start anew, "
                f"remove the folder. Received: {self.params['steps']} steps",
                stacklevel=2,
            )
        if header["has_ended"] or epoch >= end:
            self.model._initial_epoch = end
            self._values = weights, slots
            # Even with `verbose=0`: the caller believes that it trains.
            io_utils.print_msg(
                f"This training has ended after {epoch} epochs; nothing is "
                "left to train. To start anew, remove the folder "
                f"{self.directory}"
            )
            return
        if self.params.get("verbose"):
            io_utils.print_msg(
                f"Going on with epoch {epoch + 1} of {end}, from "
                f"{self.directory}"
            )
        self._random = header["random"]
        self._replay(epoch - self._first_epoch, header["start"])

    def _replay(self, epochs: int, start: str) -> None:
        epoch_iterator = find_epoch_iterator()
        reason = None
        if epoch_iterator is None:
            reason = "The data of this `fit` cannot be found"
        elif start != self._start:
            reason = (
                "This training did not start from the random state of the "
                "interrupted one (`keras.utils.set_random_seed` fixes it)"
            )
        elif is_code(epoch_iterator):
            reason = "The data comes from a `PyDataset` or a generator"
        if reason is not None and epochs:
            warnings.warn(
                f"{reason}: the order of the batches may differ from that of "
                "an uninterrupted training.",
                stacklevel=2,
            )
        if epoch_iterator is not None:
            replay_epochs(epoch_iterator, epochs)

    def _build_optimizer(self) -> None:
        """Do what `fit` does with its first step."""
        model = self.model
        if not model.optimizer.built:
            with model.distribute_strategy.scope():
                model.optimizer.build(model.trainable_variables)

    def _variables(self) -> tuple[list, list]:
        """Return what makes the state of the model, and of its optimizer."""
        model = self.model
        metrics = {id(variable) for variable in model.metrics_variables}
        weights = [v for v in model.variables if id(v) not in metrics]
        return weights, list(model.optimizer.variables)

    def _assign(self, *values: list) -> None:
        for variables, its_values in zip(
            self._variables(), values, strict=True
        ):
            for variable, value in zip(variables, its_values, strict=True):
                variable.assign(value)

    def _check(self, header: dict, weights: list) -> None:
        optimizer = _describe_optimizer(self.model.optimizer)
        missing = [
            name
            for name in header["companions"]
            if name not in self._companions
        ]
        self._check_shapes(self._variables()[0], weights)
        if missing or optimizer != header["optimizer"]:
            raise ValueError(
                f"The training in {self.directory} had the optimizer "
                f"{header['optimizer']} and the callbacks "
                f"{list(header['companions'])}. Go on with the same, or "
                "start anew in another folder. "
                f"Received: {optimizer} and {list(self._companions)}"
            )

    def _check_shapes(self, variables: list, values: list) -> None:
        expected = [tuple(value.shape) for value in values]
        received = [tuple(variable.shape) for variable in variables]
        if expected != received:
            differing = [
                (old, new)
                for old, new in zip(expected, received, strict=False)
                if old != new
            ]
            example = f", {differing[0]} for instance" if differing else ""
            raise ValueError(
                f"The training in {self.directory} was of another model or "
                "other phases: it has variables of other shapes. Go on with "
                "the same, or start anew in another folder. Received: "
                f"{len(received)} variables for {len(expected)}{example}"
            )

    def _put_back_history(self) -> None:
        if self._history is not None:
            history, epochs = self._history
            self.model.history.history = history
            self.model.history.epoch = epochs
            self._history = None


def _describe_optimizer(optimizer) -> str:
    chain = optimizer_chain(optimizer)
    return " of ".join(type(part).__name__ for part in chain)


def _plain(history: dict) -> dict:
    # Some metrics give a value for each class.
    return {
        name: [np.asarray(v).tolist() for v in values]
        for name, values in history.items()
    }


def _digest(state: dict) -> str:
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()
