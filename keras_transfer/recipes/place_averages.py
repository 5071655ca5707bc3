"""Where among the callbacks `SwapEMAWeights` belongs."""

from collections.abc import Sequence

import keras


def place_averages(
    callbacks: Sequence[keras.callbacks.Callback], *, resume: bool
) -> tuple[list, list]:
    """Take `SwapEMAWeights` from callbacks, to come before all others.

    What is kept at the end of an epoch is then what validation has judged:
    the averages.

    Args:
        callbacks: Callbacks of the user.
        resume: Whether the state of the training is kept.

    Returns:
        Those that must come first, and the others.

    Raises:
        ValueError: If weights would be kept that validation has not judged,
            or the state of the training would not be whole.
    """
    kind = keras.callbacks.SwapEMAWeights
    first = [c for c in callbacks if isinstance(c, kind)]
    if not all(swap.swap_on_epoch for swap in first):
        raise ValueError(
            "Validation would judge averages, and the best weights be kept "
            "without them: pass `SwapEMAWeights(swap_on_epoch=True)`. "
            "Received: swap_on_epoch=False"
        )
    if first and resume:
        raise ValueError(
            "Whether averages are in the model is not among what is kept to "
            "go on with: pass `resume=False`, or no `SwapEMAWeights`; "
            "`use_ema=True` alone can be resumed. Received: resume=True"
        )
    return first, [c for c in callbacks if not isinstance(c, kind)]
