"""Train in phases inside one `fit`."""

import contextlib
import dataclasses
import warnings
from collections.abc import Sequence

import keras
import numpy as np
from keras.src.utils import io_utils

from keras_transfer.backbones.layer_groups import count_weights
from keras_transfer.board.phase_text import group_ranges, group_states
from keras_transfer.callbacks.companion import Companion
from keras_transfer.callbacks.phase_checks import (
    check_phases,
    check_trainer,
    cover_phases,
)
from keras_transfer.callbacks.plateau import Plateau
from keras_transfer.freezing.moving_averages import narrow_averages
from keras_transfer.freezing.optimizer_variables import (
    known_variables,
    rebuild_optimizer,
)
from keras_transfer.freezing.phase import Phase, check_learning_rate
from keras_transfer.freezing.quick_statistics import quick_statistics
from keras_transfer.freezing.reinitialize import reinitialize
from keras_transfer.freezing.trainable import set_trainable
from keras_transfer.optimizers.schedules import get_schedule
from keras_transfer.optimizers.step_schedule import StepSchedule
from keras_transfer.optimizers.trace_leak import forget_reduced_gradients


class GradualUnfreezing(Companion, keras.callbacks.Callback):
    """Change what trains, and how fast, from phase to phase of one `fit`.

    In Keras, setting `trainable` during `fit` does nothing and says nothing:
    what trains is decided when the model is compiled. This callback builds
    the optimizer for all variables that any phase trains and, when a phase
    begins, sets its layer groups, makes a new train step and sets the
    learning rate. The optimizer goes on: its slots and its step count stay,
    and there is one history and one TensorBoard run. One line says what
    trains now, unless `fit` is silent.

    A phase ends after its `epochs`, or where it has a `patience`, when
    nothing improves any more, with its best weights put back before the next
    one begins, or training ends, which it does with the last phase. The
    optimizer is left with the learning rate of the last phase. Phases are
    counted from epoch 0, as in `LearningRateScheduler`: `initial_epoch`
    starts where it lies.

    Adam's bias correction belongs to all variables together. Groups that
    join late make steps of up to five times the learning rate at first: give
    their phase `schedule="warmup_cosine"`, or pass `reset_optimizer=True`.

    Example:

    ```python
    model = kt.build_classifier(backbone, train.class_names)
    model.compile("adam", "sparse_categorical_crossentropy")
    phases = [
        kt.Phase("head", epochs=10, learning_rate=5e-3, patience=2),
        kt.Phase("top:4", epochs=5, learning_rate=1e-4),
        kt.Phase("all", epochs=5, learning_rate=1e-5),
    ]
    model.fit(train, validation_data=validation, epochs=20,
              callbacks=[kt.GradualUnfreezing(phases)])
    ```

    Args:
        phases: List of `kt.Phase`.
        reset_optimizer: Whether each phase after the first starts with a
            fresh optimizer state, as after `compile`. Defaults to `False`.

    Attributes:
        phases: The phases; what is chosen when they begin is filled in.
        phase: The one that is running, or `None` before the first.
        phase_number: Its number, counted from 1; 0 before the first.
        epochs_in_phase: How many of its epochs have ended.
        reason: Why it begins when it does, in words.

    Raises:
        ValueError: If `phases` are none. And in `fit`, before the first step:
            if a phase names groups that there are not; if the optimizer has
            made steps but does not know all that the phases train, or brings
            its own schedule; if the model trains on several replicas with
            what cannot work there.
    """

    def __init__(
        self, phases: Sequence[Phase], *, reset_optimizer: bool = False
    ):
        super().__init__()
        self._given = check_phases(phases)
        self.reset_optimizer = reset_optimizer
        self._schedule = None
        self._while_phase_lasts = contextlib.ExitStack()
        self._start_anew()

    def _start_anew(self):
        self._end_schedule()
        self._while_phase_lasts.close()
        self.phases = list(self._given)
        self.phase_number = self.epochs_in_phase = 0
        self.reason = "the training begins"
        self._is_over = self._is_prepared = self._is_set = False
        self._plateau = None

    @property
    def phase(self) -> Phase | None:
        return self.phases[self.phase_number - 1] if self.phase_number else None

    def set_model(self, model):
        super().set_model(model)
        self._start_anew()

    def on_train_begin(self, logs=None):
        self._prepare()

    def _prepare(self):
        if not self._is_prepared:
            check_trainer(self.model, self.phases, self.params["steps"])
            cover_phases(self.model, self.phases)
            self._is_prepared = True

    def on_epoch_begin(self, epoch, logs=None):
        if not self.phase_number:
            self._find_phase(epoch)
            self._begin_phase()
        elif self._is_over:
            self._plateau.put_back_best_weights()
            self.phase_number += 1
            self.epochs_in_phase = 0
            self._begin_phase()
        if self._schedule is not None:
            steps = self.epochs_in_phase * self.params["steps"]
            self._schedule.go_on_from(steps)

    def on_epoch_end(self, epoch, logs=None):
        stalls = self._plateau.has_come(self.epochs_in_phase, logs)
        self.epochs_in_phase += 1
        self._is_over = stalls or self.epochs_in_phase == self.phase.epochs
        if self._is_over:
            self.reason = _say_why_it_is_over(self.phase, stalls)
            if self.phase_number == len(self.phases):
                self.model.stop_training = True

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self._is_over:
            # Not sooner: callbacks after this one look at what the last epoch
            # gave, and `fit` puts moving averages in place.
            self._plateau.put_back_best_weights()
        if self._schedule is not None:
            # It is a part of the train step, which the next `fit` would use.
            self.model.train_function = None
            self._end_schedule()
            self.model.optimizer.learning_rate = self.phase.learning_rate
        self._while_phase_lasts.close()

    def _find_phase(self, epoch: int) -> None:
        end = 0
        for number, phase in enumerate(self.phases, 1):
            start, end = end, end + phase.epochs
            if start <= epoch < end:
                self.phase_number = number
                self.epochs_in_phase = epoch - start
        if not self.phase_number:
            raise ValueError(
                f"The phases end with epoch {end}, and there is nothing left "
                f"to train. Received: initial_epoch={epoch}"
            )
        if self.params["epochs"] < end:
            warnings.warn(
                f"`fit` ends before the phases do, which last {end} epochs. "
                f"Received: epochs={self.params['epochs']}",
                stacklevel=2,
            )

    def _begin_phase(self) -> None:
        self._is_over = False
        model, phase = self.model, self.phase
        if phase.reinitialize:
            reinitialize(model)
        if callable(phase.train):
            self._choose(train=phase.train(model))
        self._set_phase(resets=self.reset_optimizer and self._is_set)
        if callable(phase.learning_rate):
            rate = check_learning_rate(phase.learning_rate(model))
            self._choose(learning_rate=rate)
        model.optimizer.learning_rate = self.phase.learning_rate
        self._set_schedule()
        if self.params.get("verbose"):
            self._announce()

    def _choose(self, **choice) -> None:
        chosen = dataclasses.replace(self.phase, **choice)
        self.phases[self.phase_number - 1] = chosen

    def _set_phase(self, resets: bool = False) -> None:
        """Make the phase that is running the one that trains."""
        model, phase = self.model, self.phase
        set_trainable(
            model,
            phase.train,
            batch_norm=phase.batch_norm,
            parameters=phase.parameters,
        )
        self._while_phase_lasts.close()
        if phase.reinitialize:
            self._while_phase_lasts.enter_context(quick_statistics(model))
        if resets:
            known = known_variables(model.optimizer, model.weights)
            with model.distribute_strategy.scope():
                rebuild_optimizer(model.optimizer, known)
        narrow_averages(model)
        forget_reduced_gradients()
        model.make_train_function(force=True)
        if any(weight.regularizer for weight in model.weights):
            # Keras adds up the penalties of what was trainable when traced.
            model.test_function = None
        self._plateau = Plateau(model, phase)
        self._is_set = True

    def _set_schedule(self) -> None:
        phase = self.phase
        self._end_schedule()
        if phase.schedule != "constant":
            share = get_schedule(phase.schedule)
            steps = self.params["steps"] * phase.epochs
            shares = np.array([share(step / steps) for step in range(steps)])
            self._schedule = StepSchedule(
                self.model.optimizer, phase.learning_rate * shares
            )

    def _end_schedule(self) -> None:
        if self._schedule is not None:
            self._schedule.detach()
            self._schedule = None

    def _announce(self) -> None:
        model, phase = self.model, self.phase
        live, total = map(
            count_weights, (model.trainable_weights, model.weights)
        )
        io_utils.print_msg(
            f"Phase {self.phase_number} of {len(self.phases)}, {phase.name}: "
            f"{group_ranges(group_states(model), True)} train ({live:,} of "
            f"{total:,} weights), learning rate {phase.learning_rate:g}"
        )

    def get_state(self):
        plateau, best_weights = self._plateau.get_state()
        state = {
            "given": [_describe(phase) for phase in self._given],
            "phases": [_describe(phase) for phase in self.phases],
            "phase_number": self.phase_number,
            "epochs_in_phase": self.epochs_in_phase,
            "is_over": self._is_over,
            "plateau": plateau,
        }
        return state, best_weights

    def set_state(self, state, arrays):
        given = [_describe(phase) for phase in self._given]
        if given != state["given"]:
            raise ValueError(
                "The training that was interrupted had other phases. Go on "
                "with the same ones, or start anew in an empty folder. "
                f"Received: phases={given}, and before: {state['given']}"
            )
        self._prepare()
        self.phase_number = state["phase_number"]
        self.epochs_in_phase = state["epochs_in_phase"]
        for number, chosen in enumerate(state["phases"][: self.phase_number]):
            choice = {key: chosen[key] for key in ("train", "learning_rate")}
            phase = dataclasses.replace(self._given[number], **choice)
            self.phases[number] = phase
        self._set_phase()
        self._set_schedule()
        self._is_over = state["is_over"]
        self.reason = "a training that was interrupted goes on"
        self._plateau.set_state(state["plateau"], arrays)


def _say_why_it_is_over(phase: Phase, stalls: bool) -> str:
    if stalls:
        count = f"{phase.patience} epochs" if phase.patience > 1 else "an epoch"
        return f"{phase.monitor} had not improved for {count}"
    count = f"{phase.epochs} epochs" if phase.epochs > 1 else "epoch"
    return f"the phase before has had its {count}"


def _describe(phase: Phase) -> dict:
    """Return what makes a phase, as JSON holds it."""
    description = dict(vars(phase))
    for key in ("train", "learning_rate"):
        if callable(description[key]):
            description[key] = "chosen when the phase begins"
    if isinstance(phase.train, tuple):
        description["train"] = list(phase.train)
    return description
