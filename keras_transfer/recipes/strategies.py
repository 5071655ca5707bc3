"""Strategies: lists of phases that have a name in the literature."""

from keras_transfer.freezing.phase import Phase


def extraction(
    epochs: int = 20, learning_rate: float = 5e-3, **options
) -> list[Phase]:
    """Train a new head on the features of the frozen backbone.

    For very little data, for a task close to the one the backbone was trained
    on, and as the measure for everything else: it is a logistic regression on
    the features, and cannot destroy what the backbone knows.

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
    """Train the head until it has converged, then deeper groups slowly.

    A random head would send large, random gradients into the backbone: with
    a converged one the features change only as far as the task asks (Kumar et
    al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", arXiv:2202.10054, who call it LP-FT).

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
    if epochs < 2:
        raise ValueError(
            "Fine-tuning has two phases and needs at least 2 epochs. "
            f"Received: epochs={epochs}"
        )
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


_STRATEGIES = {
    "auto": fine_tuning,
    "extraction": extraction,
    "fine_tuning": fine_tuning,
}


def make_phases(
    strategy: str | list[Phase],
    epochs: int | None = None,
    learning_rate: float | None = None,
) -> list[Phase]:
    """Turn what a user passes as `strategy` into a list of phases.

    Args:
        strategy: `"auto"` (fine-tuning), `"extraction"`, `"fine_tuning"`, or
            a list of phases.
        epochs: Number of epochs in all, for a named strategy.
        learning_rate: The strategy's `learning_rate`, for a named one.

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
            return _STRATEGIES[strategy](**settings)
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
