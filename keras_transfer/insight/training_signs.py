"""What the curves of a phase say of it."""

from collections.abc import Mapping, Sequence

import numpy as np

_FEWEST_EPOCHS = 5
_RISE = 0.1  # of the validation loss, as a share of its lowest value
_FALL = 0.03  # of a loss from one fifth of a phase to the next
_GAP = 0.1  # of the accuracies


def describe_signs(
    history: Mapping[str, Sequence[float]],
    phases: Sequence[tuple[str, int]],
    examples: int,
) -> list[str]:
    """Say of each phase whether it learned too little or too much by heart.

    Args:
        history: As `History.history`, over all phases.
        phases: Name and number of epochs of each phase, in order.
        examples: How many validation examples there are.

    Returns:
        Sentences; none where nothing strikes, or there are no validation
        curves. Signs are a validation loss that has risen by a tenth from its
        lowest value; losses that were 3 % lower in the last fifth of the last
        phase than in the fifth before; and, at the end, an accuracy that is
        better in training by more than a tenth and twice its standard error.
    """
    loss, validation = (history.get(k, ()) for k in ("loss", "val_loss"))
    found, start = [], 0
    for name, epochs in phases:
        part = slice(start, start + epochs)
        start += epochs
        if epochs >= _FEWEST_EPOCHS and len(validation) >= start:
            rise = _describe_rise(name, np.array(validation[part]))
            found += [rise] if rise else []
    if phases and phases[-1][1] >= _FEWEST_EPOCHS and not found:
        last = slice(-phases[-1][1], None)
        curves = [np.array(c[last]) for c in (loss, validation) if len(c)]
        if curves and all(map(_still_falls, curves)):
            found.append(
                f"The loss was still falling as {phases[-1][0]} ended: more "
                "epochs may do better."
            )
    gap = _describe_gap(history, examples)
    return found + ([gap] if gap else [])


def _describe_rise(name, losses) -> str:
    lowest = int(losses.argmin())
    rise = losses[-1] / losses[lowest] - 1 if losses[lowest] > 0 else 0.0
    if not np.isfinite(rise) or rise < _RISE or lowest >= len(losses) - 2:
        return ""
    return (
        f"Overfitting in {name}: the validation loss was lowest after epoch "
        f"{lowest + 1} of {len(losses)}, and is {rise:.0%} higher at its end. "
        "Fewer epochs, augmentation, dropout or more examples help."
    )


def _still_falls(losses) -> bool:
    fifth = max(2, len(losses) // 5)
    before, after = losses[-2 * fifth : -fifth].mean(), losses[-fifth:].mean()
    # The end must also be the lowest, or this is noise.
    return bool(after < (1 - _FALL) * before and losses[-1] == losses.min())


def _describe_gap(history, examples) -> str:
    for name in ("accuracy", "sparse_categorical_accuracy", "acc"):
        training, validation = history.get(name), history.get(f"val_{name}")
        if not training or not validation or not examples:
            continue
        high, low = training[-1], validation[-1]
        error = np.sqrt(max(low * (1 - low), 0.01) / examples)
        if high - low > max(_GAP, 2 * error):
            return (
                f"At the end it answers {high:.0%} of the training examples "
                f"rightly, and {low:.0%} of the others: it knows much by "
                "heart. More, or more varied, examples would help most."
            )
        return ""
    return ""
