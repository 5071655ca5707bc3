"""Train a classifier in phases."""

import dataclasses
import datetime
import os
import time

import keras
import numpy as np
from keras.src.utils import io_utils

from keras_transfer.backbones.layer_groups import count_weights
from keras_transfer.board.answers import (
    count_answers,
    make_predict,
    name_classes,
)
from keras_transfer.board.class_report import class_rows
from keras_transfer.callbacks.best_weights import BestWeights
from keras_transfer.callbacks.transfer_board import TransferBoard
from keras_transfer.freezing.phase import Phase
from keras_transfer.freezing.trainable import set_trainable
from keras_transfer.recipes.objective import compile_arguments, make_optimizer
from keras_transfer.recipes.report import PhaseRecord, Report
from keras_transfer.recipes.strategies import make_phases
from keras_transfer.recipes.training_data import (
    as_dataset,
    check_fit,
    count_steps,
    label_spec,
)


@dataclasses.dataclass(frozen=True, eq=False)
class TransferResult:
    """What a training gave.

    Attributes:
        model: The trained model, with its best weights.
        history: Lists of values, one an epoch, over all phases, as
            `History.history` of Keras.
        phases: The list of `Phase` that were run.
        report: A `Report`: `print(result.report)`, `.save(path)`.
        log_dir: Folder of the TensorBoard logs, or `None`.
    """

    model: keras.Model
    history: dict[str, list[float]]
    phases: list[Phase]
    report: Report
    log_dir: str | None


def fine_tune(
    model: keras.Model,
    train,
    validation_data=None,
    *,
    strategy: str | list[Phase] = "auto",
    epochs: int | None = None,
    learning_rate: float | None = None,
    optimizer: keras.optimizers.Optimizer | str | None = None,
    log_dir: str | os.PathLike | bool | None = None,
    class_weight: dict[int, float] | None = None,
    callbacks=(),
    seed: int | None = None,
    verbose: int | str = "auto",
) -> TransferResult:
    """Train a classifier in phases: the head first, then what lies below.

    Phases run one after another with one count of epochs, one history and one
    TensorBoard run. The model ends with the weights of the epoch that was
    best on the validation data, over all phases.

    It composes parts that work alone as well: `set_trainable`,
    `model.compile`, `model.fit`, `TransferBoard` and `BestWeights`.

    Example:

    ```python
    train, validation = kt.load_image_folder("flowers")
    backbone = kt.load_backbone("MobileNetV2")
    model = kt.build_classifier(backbone, train.class_names)
    result = kt.fine_tune(model, train, validation)
    print(result.report)
    ```

    Args:
        model: A classifier. Uncompiled, it gets the loss that its outputs
            call for and accuracy as metric; compiled, it keeps its own.
        train: Batches of `(x, y)` or `(x, y, sample_weight)`: a
            `tf.data.Dataset` or `keras.utils.PyDataset`; or a tuple of
            arrays, which are shuffled and put into batches of 32.
        validation_data: The same, never shuffled. Optional, but without it
            there is no telling which epoch was best: the last weights stay.
        strategy: `"auto"` or `"fine_tuning"` (the head, then everything at a
            low rate), `"extraction"` (the head alone), or a list of `Phase`.
            See `kt.strategies`.
        epochs: Number of epochs in all. Defaults to the strategy's.
        learning_rate: The strategy's `learning_rate`, that of its last phase.
        optimizer: An optimizer or its name; each phase gets a fresh one with
            the same settings and its own rate. Defaults to Adam.
        log_dir: Folder for TensorBoard. Defaults to
            `logs/<date-time>-<model>-<strategy>`; `False` for no logs.
        class_weight: As in `fit`.
        callbacks: Further callbacks; they see each phase as one `fit`.
        seed: Seed for Keras, NumPy and Python (`set_random_seed`).
        verbose: As in `fit`; 0 is silent.

    Returns:
        A `TransferResult`.

    Raises:
        ValueError: If an argument is not as described, or data and model do
            not fit together. Nothing is trained then.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    names = getattr(train, "class_names", None)
    phases = make_phases(strategy, epochs, learning_rate)
    train = as_dataset(train, shuffle=True, seed=seed, name="train")
    if validation_data is not None:
        validation_data = as_dataset(
            validation_data, shuffle=False, seed=None, name="validation_data"
        )
    for data in filter(None, (train, validation_data)):
        check_fit(model, data)
    _name_classes(model, names)
    objective = compile_arguments(model, label_spec(train))
    steps = count_steps(train)
    optimizers = [make_optimizer(optimizer, phase, steps) for phase in phases]

    log_dir = _choose_log_dir(log_dir, model, strategy)
    best = BestWeights()
    board = log_dir and TransferBoard(
        log_dir, validation_data=validation_data, class_names=names
    )
    measured = train if validation_data is None else validation_data
    predict = make_predict(model)
    before, history, records, done = None, {}, [], 0
    for phase, phase_optimizer in zip(phases, optimizers, strict=True):
        set_trainable(model, phase.train, batch_norm=phase.batch_norm)
        model.compile(phase_optimizer, **objective)
        if before is None:
            before = _accuracy(count_answers(model, measured, predict))
        if board:
            board.name_phase(phase.name)
        _announce(phase, done, model, verbose)
        start = time.perf_counter()
        fitted = model.fit(
            train,
            validation_data=validation_data,
            initial_epoch=done,
            epochs=done + phase.epochs,
            class_weight=class_weight,
            callbacks=[*filter(None, [board]), best, *callbacks],
            shuffle=False,  # Keras warns where a data set decides that itself
            verbose=verbose,
        )
        seconds = time.perf_counter() - start
        for key, values in fitted.history.items():
            history.setdefault(key, []).extend(values)
        done += len(fitted.epoch)
        outcomes = count_answers(model, measured, predict)
        live = count_weights(model.trainable_weights)
        records.append(
            PhaseRecord(
                phase.name,
                len(fitted.epoch),
                seconds,
                _accuracy(outcomes),
                (live, count_weights(model.weights)),
            )
        )
    report = Report(
        "training" if validation_data is None else "validation",
        before,
        tuple(records),
        _class_rows(outcomes, model, measured, names),
        None if best.best_epoch is None else best.best_epoch + 1,
        log_dir,
    )
    return TransferResult(model, history, phases, report, log_dir)


def _name_classes(model, names) -> None:
    """Let a model that was built for a number of classes learn their names."""
    if names is not None and getattr(model, "class_names", ()) is None:
        model.class_names = list(names)


def _choose_log_dir(log_dir, model, strategy) -> str | None:
    if log_dir is False:
        return None
    if log_dir is None or log_dir is True:
        label = strategy if isinstance(strategy, str) else "phases"
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        return os.path.join("logs", f"{now}-{model.name}-{label}")
    return os.fspath(log_dir)


def _announce(phase, done: int, model, verbose) -> None:
    if not verbose:
        return
    live = count_weights(model.trainable_weights)
    io_utils.print_msg(
        f"{phase.name}: epochs {done + 1} to {done + phase.epochs}, "
        f"learning rate {phase.learning_rate:g}, {live:,} of "
        f"{count_weights(model.weights):,} weights train"
    )


def _accuracy(outcomes: np.ndarray | None) -> float:
    """Share of right answers; of right labels where there are several."""
    if outcomes is None:
        return float("nan")
    return float(np.trace(outcomes, axis1=-2, axis2=-1).sum() / outcomes.sum())


def _class_rows(outcomes, model, data, names) -> list[dict]:
    if outcomes is None:
        return []
    names = name_classes(model, data, len(outcomes), names)
    return class_rows(outcomes, names)
