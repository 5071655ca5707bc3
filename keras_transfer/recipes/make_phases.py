"""From what a user passes as `strategy` to phases."""

import inspect

from keras_transfer.freezing.phase import Phase
from keras_transfer.recipes import strategies


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
        if strategy in strategies.__all__:
            make = getattr(strategies, strategy)
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
        f"`strategy` must be one of {strategies.__all__} or a list of "
        f"`kt.Phase`. Received: strategy={strategy!r}"
    )


def _are_phases(strategy) -> bool:
    return (
        isinstance(strategy, list | tuple)
        and len(strategy) > 0
        and all(isinstance(phase, Phase) for phase in strategy)
    )
