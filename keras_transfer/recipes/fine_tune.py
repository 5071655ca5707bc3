"""Train a model in phases."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import keras

from keras_transfer.builders.multitask_model import MultitaskModel
from keras_transfer.caching.answers import make_predict
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.callbacks.best_weights import BestWeights
from keras_transfer.callbacks.forgetting_monitor import ForgettingMonitor
from keras_transfer.callbacks.gradual_unfreezing import GradualUnfreezing
from keras_transfer.callbacks.head_solver import HeadSolver
from keras_transfer.callbacks.phase_backup import PhaseBackup
from keras_transfer.callbacks.phase_checks import cover_phases
from keras_transfer.callbacks.transfer_board import TransferBoard
from keras_transfer.freezing.phase import Phase
from keras_transfer.optimizers.copying import copy_optimizer
from keras_transfer.recipes.cache_arguments import (
    make_cache,
    read_cache_arguments,
)
from keras_transfer.recipes.class_weights import choose_class_weight
from keras_transfer.recipes.find_baselines import (
    add_scratch,
    check_baselines,
    check_slices,
    find_baselines,
)
from keras_transfer.recipes.head_and_after import HeadAndAfter
from keras_transfer.recipes.make_phases import make_phases
from keras_transfer.recipes.make_report import make_report
from keras_transfer.recipes.objective import compile_arguments
from keras_transfer.recipes.phase_recorder import PhaseRecorder
from keras_transfer.recipes.place_averages import place_averages
from keras_transfer.recipes.rate_trials import collect_batches
from keras_transfer.recipes.run_settings import (
    check_resume,
    choose_log_dir,
    describe_run,
)
from keras_transfer.recipes.task_checks import check_task_arguments
from keras_transfer.recipes.training_data import (
    as_dataset,
    check_answers,
    check_fit,
    label_spec,
    name_classes,
)
from keras_transfer.recipes.transfer_result import TransferResult
from keras_transfer.recipes.validation_score import make_measure


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
    cache: FeatureCache | str | os.PathLike | bool = "auto",
    engine: str | None = "auto",
    cached_views: int | None = None,
    mixup: float = 0.0,
    class_weight: dict[int, float] | str | None = None,
    baselines: bool | str = "auto",
    slices: Mapping[str, Sequence] | None = None,
    resume: bool = False,
    callbacks=(),
    seed: int | None = None,
    verbose: int | str = "auto",
) -> TransferResult:
    """Train a model in phases: the head first, then what lies below.

    Phases run one after another with one count of epochs, one history and one
    TensorBoard run. The model ends with the weights that were best on the
    validation data: of all epochs, or with `"auto"`, of three: those after
    the head alone, those at the end, and the mean of the two.

    It composes parts that work alone as well: `GradualUnfreezing`,
    `TransferBoard`, `BestWeights` and `PhaseBackup`, in one `model.fit`.

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
            call for and accuracy as metric; compiled, it keeps its loss and
            metrics. Or a model from `build_multitask`, with labels in
            dictionaries by task: it must be given a strategy other than
            `"auto"`, ends with the weights of the lowest validation loss, and
            has neither baselines nor slices, nor weights of classes.
        train: Batches of `(x, y)` or `(x, y, sample_weight)`: a
            `tf.data.Dataset` or `keras.utils.PyDataset`; or a tuple of
            arrays, which are shuffled and put into batches of 32, or of as
            few as 8 where an epoch would have less than 16 steps.
        validation_data: The same, never shuffled. Optional, but without it
            there is no telling what was best: the last weights stay.
        strategy: The name of one of `kt.strategies`, or a list of `Phase`.
            `"auto"` trains the head, then as many layer groups below it as
            `kt.recommend` would. Defaults to `"auto"`.
        epochs: Number of epochs in all. Defaults to the strategy's.
        learning_rate: The strategy's `learning_rate`, that of its last phase.
        optimizer: An optimizer or its name. A copy is used, with the rates of
            the phases, and starts anew with each. Defaults to Adam, whatever
            the model is compiled with: the strategies' rates are for it.
        log_dir: Folder for TensorBoard. Defaults to
            `logs/<date-time>-<model>-<strategy>`; `False` for no logs.
        cache: Whether to compute the frozen part of the model once for each
            example, instead of in each epoch; what comes of it is the same,
            to rounding. `"auto"` does that where it saves time: not in phases
            of a single epoch, nor for the first layers alone; `True` does it
            wherever it can. A folder keeps what is computed for other
            trainings, and `kt.FeatureCache` says more. A line tells what is
            cached, and if not, why. Defaults to `"auto"`.
        engine: What computes the frozen part for the cache. `None` is
            TensorFlow as in training, with the same result to the bit.
            `"tensorflow"` folds BatchNorm into the convolutions; `"openvino"`
            and `"litert"` are faster (`pip install "keras-transfer[fast]"`).
            Their features are compared with the model's on the first
            examples; where they differ by more than 1e-5 of the largest one,
            there is a warning, and TensorFlow computes them as it is.
            `"openvino_bfloat16"` is faster still where the processor has
            instructions for it, and may differ by several percent. `"auto"`
            is `None` for less than 1,000 examples, which are computed sooner
            than an engine is made; else OpenVINO where it is installed, or
            TensorFlow. Defaults to `"auto"`.
        cached_views: How many augmented views of each training example are
            kept, where the model augments its inputs; each epoch draws one of
            them. That is `cached_views` passes over the data instead of one
            for each epoch, and only as many different pictures; 1 is the
            pictures as they are. Defaults to `None`: a model that augments is
            not cached.
        mixup: Where above 0, cached features are mixed with those of another
            example in each step, by shares that follow a Beta distribution
            with this parameter (0.2, say), and so is the loss. For more than
            a few examples. Defaults to 0.
        class_weight: As in `fit`; or `"balanced"`, to weight classes by their
            inverse frequency.
        baselines: Whether to measure what can be had without training the
            network, for the verdict of the report: with a logistic regression
            on its frozen features, on those of the same network with random
            weights, and on the pixels, all in one pass over the validation
            data and at most 1,000 examples. `"auto"` does that where more
            than the head trains for ten epochs or more, so that it hardly
            shows; `"scratch"` also trains the same model from random weights
            for as many epochs, which takes as long again or longer. Defaults
            to `"auto"`.
        slices: For each name, a value for each validation example, in their
            order: the camera that took it, say. The report has the accuracy
            on each part, and names those that do worse than the rest.
        resume: Whether to keep the state of the training under `log_dir`, and
            to go on with it where the same call was interrupted. See
            `PhaseBackup`. Defaults to `False`.
        callbacks: Further callbacks, or one. They see one `fit`. With
            `SwapEMAWeights(swap_on_epoch=True)`, and an optimizer with
            `use_ema=True`, the weights are moving averages, in validation and
            at the end.
        seed: Seed for Keras, NumPy and Python (`set_random_seed`). Defaults
            to none, and to 0 with `resume=True`, so that the order of the
            data can be repeated.
        verbose: As in `fit`; 0 is silent.

    Returns:
        A `TransferResult`.

    Raises:
        ValueError: If an argument is not as described, or data and model do
            not fit together. Nothing is trained then.
    """
    caching = read_cache_arguments(cache, engine, cached_views, mixup)
    callbacks = keras.tree.flatten(callbacks or ())
    averages, callbacks = place_averages(callbacks, resume=resume)
    check_resume(resume, log_dir)
    if resume and seed is None:
        seed = 0
    if seed is not None:
        keras.utils.set_random_seed(seed)
    names = getattr(train, "class_names", None)
    train = as_dataset(train, shuffle=True, seed=seed, name="train")
    if validation_data is not None:
        validation_data = as_dataset(
            validation_data, shuffle=False, seed=None, name="validation_data"
        )
    for data in filter(None, (train, validation_data)):
        check_fit(model, data)
    has_tasks = isinstance(model, MultitaskModel)
    if has_tasks:
        names = None  # of one task, where the data has some
        check_task_arguments(
            model,
            strategy=strategy,
            class_weight=class_weight,
            baselines=baselines,
            slices=slices,
        )
        baselines = False
    check_baselines(baselines, validation_data)
    check_slices(slices, validation_data)
    given_weight = class_weight
    if class_weight is not None:
        class_weight = choose_class_weight(
            class_weight, train, max(model.output_shape[-1], 2), verbose
        )
    phases = make_phases(
        strategy,
        epochs,
        learning_rate,
        model=model,
        data=train,
        validation_data=validation_data,
        class_weight=class_weight,
    )
    name_classes(model, names)
    objective = compile_arguments(model, label_spec(train))

    log_dir = choose_log_dir(log_dir, model, strategy)
    optimizer = keras.optimizers.get(optimizer or "adam")
    with model.distribute_strategy.scope():
        model.compile(copy_optimizer(optimizer), **objective)
    # Phases are refused before there are any logs.
    cover_phases(model, phases)
    solver = any(phase.solver for phase in phases) and HeadSolver(
        model, train, validation_data, class_weight=class_weight
    )
    measured = validation_data
    if measured is None:
        # Now: a pass in the middle of `fit` would change the order of epochs.
        measured = collect_batches(train)
    predict = make_predict(model)
    measure = make_measure(model, measured, predict)

    if strategy == "auto" and validation_data is not None:
        check_answers(model, validation_data)
    compared = find_baselines(
        baselines, model, train, validation_data, phases, seed=seed or 0
    )
    unfreezing = GradualUnfreezing(phases, reset_optimizer=True)
    recorder = PhaseRecorder(measure)
    best = BestWeights("val_loss" if has_tasks else None)
    if strategy == "auto":
        best = HeadAndAfter(None if validation_data is None else measure)
    settings = describe_run(
        model,
        strategy,
        phases,
        optimizer,
        class_weight=given_weight,
        mixup=mixup,
        cached_views=cached_views,
        seed=seed,
    )
    board = log_dir and TransferBoard(
        log_dir,
        validation_data=validation_data,
        class_names=names,
        settings=settings,
    )
    caching = make_cache(
        caching,
        train,
        validation_data,
        has_solver=bool(solver),
        class_weight=class_weight,
        seed=seed,
    )
    backup = resume and PhaseBackup(os.path.join(log_dir, "backup"))
    monitors = [c for c in callbacks if isinstance(c, ForgettingMonitor)]
    # The recorder measures what a phase has left, before the next is solved.
    ours = filter(
        None, (unfreezing, caching, best, recorder, solver, board, backup)
    )
    try:
        fitted = model.fit(
            train,
            validation_data=validation_data,
            epochs=sum(phase.epochs for phase in phases),
            class_weight=class_weight,
            callbacks=[*averages, *ours, *callbacks],
            # A data set decides that itself; Keras warns where it is asked to.
            shuffle=isinstance(train, keras.utils.PyDataset),
            verbose=verbose,
        )
        report = make_report(
            model,
            measured,
            predict,
            class_names=names,
            slices=slices,
            measured_on="training" if validation_data is None else "validation",
            accuracy_before=recorder.before,
            phases=tuple(recorder.records),
            weights=best.describe(),
            log_dir=log_dir,
            history=fitted.history,
            baselines=compared,
            settings=settings,
            forgetting=" ".join(m.describe() for m in monitors),
        )
    finally:
        if caching:
            caching.release()
        model._cut = None  # and with it, what is cached
    if baselines == "scratch":
        compared = add_scratch(
            compared,
            fine_tune,
            model,
            train,
            validation_data,
            epochs=len(fitted.epoch),
            optimizer=optimizer,
            class_weight=class_weight,
            seed=seed,
        )
        report = dataclasses.replace(report, baselines=compared)
    if board:
        board.write_text("report", f"```\n{report}\n```")
    phases = unfreezing.phases[: unfreezing.phase_number]
    return TransferResult(model, fitted.history, phases, report, log_dir)
