"""Strategies: lists of phases that have a name in the literature."""

import dataclasses
import functools
import inspect

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.gradient_norms import relative_gradient_norms
from keras_transfer.freezing.phase import Phase
from keras_transfer.recipes.rate_trials import (
    USUAL_RATE,
    choose_learning_rate,
    collect_batches,
)
from keras_transfer.recipes.training_data import count_steps

_LEAST_STEPS = 250


def extraction(
    epochs: int = 20, learning_rate: float = 5e-3, **options
) -> list[Phase]:
    """Train a new head on the features of the frozen backbone.

    For very little data, for a task close to the one the backbone was trained
    on, and as the measure for everything else: it is a logistic regression on
    the features, and cannot destroy what the backbone knows. On data from
    elsewhere it was 7 % better than training everything, and on data like
    the training data 2 % worse (Kumar et al. 2022, arXiv:2202.10054, mean of
    ten data sets).

    Example:

    ```python
    kt.fine_tune(model, train, validation, strategy="extraction")
    ```

    Args:
        epochs: Number of epochs. Defaults to 20.
        learning_rate: Learning rate of the head. Defaults to 5e-3, at which
            Adam converges within 20 epochs of a few dozen steps.
        **options: Further attributes of the `Phase`.

    Returns:
        A list of one phase.
    """
    return [Phase("head", epochs, learning_rate, name="extraction", **options)]


def fine_tuning(
    epochs: int = 30,
    learning_rate: float = 1e-4,
    *,
    train: str | tuple[str, ...] = "all",
    head_learning_rate: float = 5e-3,
    batch_norm: str = "frozen",
) -> list[Phase]:
    """Train the head for a fixed time, then deeper groups slowly.

    What most people mean by fine-tuning: for enough data of the kind that the
    model will be used on, and a rate known to suit it. There, training
    everything was 2 % better than the head alone, and elsewhere 7 % worse
    (Kumar et al. 2022, arXiv:2202.10054, mean of ten data sets).

    Example:

    ```python
    phases = kt.strategies.fine_tuning(epochs=15, train="top:4")
    kt.fine_tune(model, train, validation, strategy=phases)
    ```

    Args:
        epochs: Number of epochs in all, at least 2; the head gets two thirds
            of them. Defaults to 30.
        learning_rate: Rate at which the second phase starts; it falls to 0
            along a cosine. Defaults to 1e-4: less suits pictures like those of
            ImageNet, more suits others.
        train: Which groups train in the second phase, as for
            `set_trainable`. Defaults to `"all"`.
        head_learning_rate: Learning rate of the first phase. Defaults to
            5e-3.
        batch_norm: The BatchNorm rule of the second phase, as for
            `set_trainable`. Defaults to `"frozen"`.

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    _need_epochs(epochs, 2)
    second = max(1, epochs // 3)
    return [
        *extraction(epochs - second, head_learning_rate),
        Phase(
            train,
            second,
            learning_rate,
            name="fine-tuning",
            batch_norm=batch_norm,
            schedule="cosine",
        ),
    ]


def lp_ft(
    epochs: int = 30,
    learning_rate: float = USUAL_RATE,
    *,
    head_learning_rate: float = 5e-3,
    patience: int | None = None,
) -> list[Phase]:
    """Train the head until it has converged, then everything (LP-FT).

    A head that is not yet right sends large gradients into the backbone, and
    distorts features that the task will miss on new data. From a converged
    head, features change only as far as the task asks. For most tasks, and
    more so the further the data it will be used on lies from its own.

    Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and
    Underperform Out-of-Distribution", arXiv:2202.10054: over ten data sets,
    on average 1 % better in distribution and 10 % better out of it than
    training everything from the start.

    Args:
        epochs: Number of epochs in all, at least 2; the head gets two fifths
            of them. Defaults to 30.
        learning_rate: Highest rate of the second phase, after a warm-up; it
            then falls to 0. Defaults to 3e-4.
        head_learning_rate: Learning rate of the first phase. Defaults to
            5e-3.
        patience: Number of epochs without a lower training loss after which
            the head counts as converged. `None` for all its epochs, which is
            the default. (Ending it by the validation loss, which rises with
            confidence long before answers get worse, costs accuracy.)

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    _need_epochs(epochs, 2)
    second = max(1, epochs * 3 // 5)
    return [
        *extraction(
            epochs - second,
            head_learning_rate,
            patience=patience,
            monitor="loss",
        ),
        Phase(
            "all",
            second,
            learning_rate,
            name="fine-tuning",
            schedule="warmup_cosine",
        ),
    ]


def auto(
    data=None,
    validation_data=None,
    epochs: int | None = None,
    learning_rate: float | None = None,
) -> list[Phase]:
    """Train the head, then everything at a rate that short trials choose.

    `lp_ft` for the usual case. How far features must change depends on how
    far the task is from the old one: a few dozen steps at each of three rates
    tell, unless one is given. With
    `fine_tune(strategy="auto")`, the default, the model ends with the weights
    after fine-tuning only if they are no worse on the validation data than
    the head alone.

    Args:
        data: Training data for the trials, a data set. Its first batches are
            read. Without it, or validation data, the rate is 3e-4.
        validation_data: Data on which the trials are compared.
        epochs: Number of epochs in all, at least 2. Defaults to 30, and to
            what makes 250 steps where 30 epochs do not: from few examples,
            epochs are short.
        learning_rate: Highest rate of the second phase.

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    steps = None if data is None else count_steps(data)
    if epochs is None:
        epochs = max(30, -(-_LEAST_STEPS // steps)) if steps else 30
    usual = USUAL_RATE if learning_rate is None else learning_rate
    phases = lp_ft(epochs, usual)
    has_data = data is not None and validation_data is not None
    if learning_rate is None and has_data:
        in_phase = steps and steps * phases[1].epochs
        choose = functools.partial(
            choose_learning_rate,
            batches=collect_batches(data),
            validation_data=validation_data,
            # Less than the phase itself, all three together.
            steps=min(30, max(1, in_phase // 4)) if in_phase else 30,
        )
        phases[1] = dataclasses.replace(phases[1], learning_rate=choose)
    return phases


def gradual(
    model: keras.Model | None = None,
    epochs: int = 30,
    learning_rate: float = 1e-4,
    *,
    head_learning_rate: float = 5e-3,
) -> list[Phase]:
    """Train the head, then one block more at a time, from the top down.

    Higher blocks, which are closer to the old task, have time to adapt before
    lower ones, which hold what most tasks share, move at all. For long
    trainings of deep networks on data unlike that of the source.

    Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text
    Classification", arXiv:1801.06146, section 3.3. On three data sets it
    had errors of 6.4, 6.9 and 5.8 % (everything at once: 6.9, 6.9 and 5.8 %),
    and of 5.0, 5.7 and 5.4 % with their schedule and a lower rate for each
    deeper block (table 7). For the latter, compile with
    `kt.DiscriminativeOptimizer("adam", decay=1 / 2.6)`.

    Args:
        model: The model whose blocks are unfrozen, down to the stem. Without
            it, three blocks are unfrozen one by one, and then all others.
        epochs: Number of epochs in all, at least 2. A third goes to the head,
            and what the blocks do not need to the last phase; where there are
            fewer epochs than blocks, several are unfrozen at a time.
            Defaults to 30.
        learning_rate: Learning rate below the head. Defaults to 1e-4.
        head_learning_rate: Learning rate of the first phase. Defaults to
            5e-3.

    Returns:
        A list of phases: `"head"`, `"top:1"`, ..., `"all"`.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    _need_epochs(epochs, 2)
    below = 4 if model is None else max(1, len(layer_groups(model)) - 1)
    rest = max(1, epochs - max(1, epochs // 3))
    count = min(below, rest)
    depths = [-(-below * n // count) for n in range(1, count + 1)]
    phases = extraction(epochs - rest, head_learning_rate)
    for depth in depths:
        is_last = depth == below
        phases.append(
            Phase(
                "all" if is_last else f"top:{depth}",
                rest - (count - 1) * (rest // count)
                if is_last
                else rest // count,
                learning_rate,
                name="all blocks" if is_last else f"top {depth} blocks",
                schedule="warmup_cosine" if is_last else "constant",
            )
        )
    return phases


def surgical(
    data=None,
    epochs: int = 30,
    learning_rate: float = 1e-4,
    *,
    groups: tuple[str, ...] | None = None,
    count: int = 3,
    head_learning_rate: float = 5e-3,
) -> list[Phase]:
    """Train the head, then it and the few groups that the task pulls at.

    Where what has changed between the old task and the new sits in one place
    (another camera: the first layers; other objects: the last), training that
    place alone keeps all else as it was. For data that differs from that of
    the source in one known way.

    Lee et al. 2022, "Surgical Fine-Tuning Improves Adaptation to Distribution
    Shifts", arXiv:2210.11466: on photos with noise and blur (CIFAR-10-C),
    training the first block alone was 3 % better than training everything.

    Args:
        data: Training data by which to choose groups when the head has been
            trained: those with the largest `relative_gradient_norms`. A data
            set, or batches of `(x, y)`. The first ones are read.
        epochs: Number of epochs in all, at least 2; the head gets two thirds
            of them. Defaults to 30.
        learning_rate: Highest rate of the second phase, after a warm-up; it
            then falls to 0. Defaults to 1e-4.
        groups: Names of the groups, if you know better.
        count: How many groups to choose. Defaults to 3.
        head_learning_rate: Learning rate of the first phase. Defaults to
            5e-3.

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases, or neither
            groups nor data.
    """
    _need_epochs(epochs, 2)
    if groups is None and data is None:
        raise ValueError(
            "Surgical fine-tuning needs `groups`, or `data` by which to choose "
            "them. Received: groups=None, data=None"
        )
    train = groups and (*groups, "head")
    if groups is None:
        # Now: a pass in the middle of `fit` would change the order of epochs.
        batches = collect_batches(data)
        train = functools.partial(_choose_groups, data=batches, count=count)
    second = max(1, epochs // 3)
    return [
        *extraction(epochs - second, head_learning_rate),
        Phase(
            train,
            second,
            learning_rate,
            name="surgical",
            schedule="warmup_cosine",
        ),
    ]


def _choose_groups(model, data, count) -> tuple[str, ...]:
    norms = relative_gradient_norms(model, data)
    below = sorted(set(norms) - {"head"}, key=norms.get, reverse=True)
    chosen = {*below[:count], "head"}
    return tuple(name for name in norms if name in chosen)


def scratch(epochs: int = 30, learning_rate: float = 1e-3) -> list[Phase]:
    """Train everything from random weights: the architecture only.

    To see what the pretrained weights are worth. With little data that is
    much: Howard & Ruder 2018 (arXiv:1801.06146, table 7) had errors of 9.9,
    13.4 and 6.8 % from scratch, and of 5.0, 5.7 and 5.4 % with transfer.

    Args:
        epochs: Number of epochs. Defaults to 30.
        learning_rate: Highest rate, after a warm-up; it then falls to 0.
            Defaults to 1e-3.

    Returns:
        A list of one phase, BatchNorm trained.
    """
    return [
        Phase(
            "all",
            epochs,
            learning_rate,
            name="scratch",
            batch_norm="train",
            schedule="warmup_cosine",
            reinitialize=True,
        )
    ]


def _need_epochs(epochs: int, least: int) -> None:
    if epochs < least:
        raise ValueError(
            f"This strategy has phases for at least {least} epochs. "
            f"Received: epochs={epochs}"
        )


_STRATEGIES = {
    "auto": auto,
    "extraction": extraction,
    "fine_tuning": fine_tuning,
    "gradual": gradual,
    "lp_ft": lp_ft,
    "scratch": scratch,
    "surgical": surgical,
}


def make_phases(
    strategy: str | list[Phase],
    epochs: int | None = None,
    learning_rate: float | None = None,
    **available,
) -> list[Phase]:
    """Turn what a user passes as `strategy` into a list of phases.

    Args:
        strategy: The name of a strategy, or a list of phases.
        epochs: Number of epochs in all, for a named strategy.
        learning_rate: The strategy's `learning_rate`, for a named one.
        **available: What a named strategy may need: `model`, `data`,
            `validation_data`.

    Returns:
        A list of at least one `Phase`.

    Raises:
        ValueError: If the strategy is not known, or phases come with further
            settings that would contradict them.
    """
    settings = {"epochs": epochs, "learning_rate": learning_rate}
    settings = {k: v for k, v in settings.items() if v is not None}
    if isinstance(strategy, str):
        if strategy in _STRATEGIES:
            make = _STRATEGIES[strategy]
            accepted = inspect.signature(make).parameters
            available = {k: v for k, v in available.items() if k in accepted}
            return make(**settings, **available)
    elif _are_phases(strategy):
        if settings:
            raise ValueError(
                "Phases say themselves how long and at which rate they train. "
                f"Received: a list of phases and {settings}"
            )
        return list(strategy)
    raise ValueError(
        f"`strategy` must be one of {sorted(_STRATEGIES)} or a list of "
        f"`kt.Phase`. Received: strategy={strategy!r}"
    )


def _are_phases(strategy) -> bool:
    return (
        isinstance(strategy, list | tuple)
        and len(strategy) > 0
        and all(isinstance(phase, Phase) for phase in strategy)
    )
