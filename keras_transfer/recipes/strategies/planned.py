"""Strategies whose phases are known from the start."""

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.phase import Phase
from keras_transfer.recipes.rate_trials import USUAL_RATE
from keras_transfer.recipes.strategies.extraction import extraction


def fine_tuning(
    epochs: int = 30,
    learning_rate: float = 1e-4,
    *,
    train: str | tuple[str, ...] = "all",
    data=None,
    head_learning_rate: float | None = None,
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
        data: As for `extraction`.
        head_learning_rate: Learning rate of the first phase, as for
            `extraction`.
        batch_norm: The BatchNorm rule of the second phase, as for
            `set_trainable`. Defaults to `"frozen"`.

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    need_epochs(epochs, 2)
    second = max(1, epochs // 3)
    return [
        *extraction(epochs - second, head_learning_rate, data=data),
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
    train: str | tuple[str, ...] = "all",
    data=None,
    head_learning_rate: float | None = None,
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
        train: Which groups train in the second phase, as for
            `set_trainable`: fewer (`"top:4"`) where `kt.recommend` says so.
            Defaults to `"all"`.
        data: As for `extraction`.
        head_learning_rate: Learning rate of the first phase, as for
            `extraction`.
        patience: Number of epochs without a lower training loss after which
            the head counts as converged. `None` for all its epochs, which is
            the default. (Ending it by the validation loss, which rises with
            confidence long before answers get worse, costs accuracy.)

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    need_epochs(epochs, 2)
    second = max(1, epochs * 3 // 5)
    return [
        *extraction(
            epochs - second,
            head_learning_rate,
            data=data,
            patience=patience,
            monitor="loss",
        ),
        Phase(
            train,
            second,
            learning_rate,
            name="fine-tuning",
            schedule="warmup_cosine",
        ),
    ]


def gradual(
    epochs: int = 30,
    learning_rate: float = 1e-4,
    *,
    model: keras.Model | None = None,
    data=None,
    head_learning_rate: float | None = None,
) -> list[Phase]:
    """Train the head, then one block more at a time, from the top down.

    Higher blocks, which are closer to the old task, have time to adapt before
    lower ones, which hold what most tasks share, move at all. For long
    trainings of deep networks on data unlike that of the source.

    Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text
    Classification", arXiv:1801.06146, section 3.3. On three data sets it
    had errors of 6.4, 6.9 and 5.8 % (everything at once: 6.9, 6.9 and 5.8 %),
    and of 5.0, 5.7 and 5.4 % with their schedule and a lower rate for each
    deeper block (table 7). For the latter, pass
    `optimizer=kt.DiscriminativeOptimizer("adam", decay=1 / 2.6)` to
    `fine_tune`, or compile with it for a `fit` of your own.

    Args:
        epochs: Number of epochs in all, at least 2. A third goes to the head,
            and what the blocks do not need to the last phase; where there are
            fewer epochs than blocks, several are unfrozen at a time.
            Defaults to 30.
        learning_rate: Learning rate below the head. Defaults to 1e-4.
        model: The model whose blocks are unfrozen, down to the stem. Without
            it, three blocks are unfrozen one by one, and then all others.
        data: As for `extraction`.
        head_learning_rate: Learning rate of the first phase, as for
            `extraction`.

    Returns:
        A list of phases: `"head"`, `"top:1"`, ..., `"all"`.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    need_epochs(epochs, 2)
    below = 4 if model is None else max(1, len(layer_groups(model)) - 1)
    rest = max(1, epochs - max(1, epochs // 3))
    count = min(below, rest)
    depths = [-(-below * n // count) for n in range(1, count + 1)]
    phases = extraction(epochs - rest, head_learning_rate, data=data)
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


def need_epochs(epochs: int, least: int) -> None:
    """Refuse fewer epochs than a strategy has phases."""
    if epochs < least:
        raise ValueError(
            f"This strategy has phases for at least {least} epochs. "
            f"Received: epochs={epochs}"
        )
