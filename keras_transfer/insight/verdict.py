"""Whether a training helped, in a few sentences."""

import dataclasses
import math

import numpy as np

from keras_transfer.board.wilson_interval import wilson_interval
from keras_transfer.insight.baselines import REGRESSION, SCRATCH, Baselines

_AS_GOOD_AS_CHANCE = (
    ", which may be as good. Do labels and examples belong together, and has "
    "the head trained long enough?"
)
_MODEL = "this model"
# Smaller differences are called neither help nor harm unless they are certain.
_LEAST = 0.02
# Standard errors: where there is no difference, luck makes a loss of more than
# that one time in ten, and a gain as often.
_ONE_IN_TEN = 1.28
_ERRORS_WIDE = 2 * 1.96  # an interval of 95 %, in standard errors


def describe_accuracy(
    accuracy: float,
    examples: int,
    supports: dict[str, int] | None,
    measured_on: str,
    is_chosen: bool,
) -> list[str]:
    """Say what an accuracy is worth.

    Args:
        accuracy: The accuracy, in [0, 1].
        examples: How many examples it was measured on.
        supports: How many of them each class has, by its name; `None` where
            an example may be of several classes.
        measured_on: `"validation"` or `"training"` data.
        is_chosen: Whether the weights were chosen on the same examples.

    Returns:
        Sentences: the accuracy with its 95 % interval (Wilson's), and what
        the most frequent class alone would give.
    """
    if not examples or math.isnan(accuracy):
        return []
    low, high = wilson_interval(accuracy, examples)
    sentences = [
        f"Verdict: {accuracy:.3f} on {examples:,} {measured_on} examples, so "
        f"{low:.3f} to {high:.3f} on others like them (95 %)."
    ]
    if is_chosen:
        sentences.append(
            "Its weights were chosen on them, which flatters it a little."
        )
    if measured_on == "training":
        sentences.append(
            "Examples that it was not trained on will be less accurate: hold "
            "some back as `validation_data`."
        )
    if supports:
        name = max(supports, key=supports.get)
        chance = supports[name] / examples
        sentences.append(
            f'Always answering "{name}" would give {chance:.3f}'
            + ("." if low > chance else _AS_GOOD_AS_CHANCE)
        )
    return sentences


def describe_gain(first: float, last: float, examples: int) -> str:
    """Say whether what came after the first phase helped.

    Args:
        first: The accuracy after the first phase.
        last: The accuracy at the end.
        examples: How many examples they were measured on.

    Returns:
        A sentence; empty where nothing was measured. Less than two standard
        errors of a difference between two such accuracies may be luck.
    """
    if not examples or math.isnan(last):
        return ""
    gain = last - first
    # Never 0: an example more would have been possible to get wrong.
    mean = ((first + last) * examples / 2 + 0.5) / (examples + 1)
    error = math.sqrt(2 * mean * (1 - mean) / examples)
    text = f"What followed the first phase changed the accuracy by {gain:+.3f}"
    if abs(gain) < 2 * error:
        return f"{text}, which luck may explain (±{2 * error:.3f})."
    if gain > 0:
        return f"{text}: it helped."
    return (
        f'{text}: it did harm. Try `strategy="extraction"`, a lower '
        "`learning_rate`, or fewer layer groups."
    )


def describe_transfer(right: np.ndarray, baselines: Baselines) -> list[str]:
    """Say what a model owes to what its source knows.

    Transfer is called negative where the model is worse than the best that
    knows nothing of the source: certainly where that is beyond chance (95 %),
    and probably where it is by 2 points or more and there are odds of nine to
    one that it is worse at all. From the loss is taken first by how much that
    best, as the best of several, flatters itself. A gain is judged alike, as
    it is.

    Args:
        right: Whether it answers each example rightly.
        baselines: Measured on the same examples, in the same order.

    Returns:
        Sentences: its gain over a linear probe of the frozen features, and
        over the best that knows nothing of the source, with 95 % intervals of
        the paired differences; whether transfer helps or is negative; and
        that it is not the source's fault, where a regression on its features
        would have done.
    """
    right = np.asarray(right, "float64")
    both = dataclasses.replace(
        baselines, right={**baselines.right, _MODEL: right}
    )
    other = baselines.best_without_source
    accuracy = {row["baseline"]: row["accuracy"] for row in baselines.rows}
    few = baselines.fitted_on
    some = f" of {few:,} training examples" if few else ""
    known = f"{accuracy[other]:.3f} ({other})"
    over_probe = both.gain(_MODEL, REGRESSION)
    over_other = both.gain(_MODEL, other)
    features = baselines.gain(REGRESSION, other)
    sentences = [
        f"A {REGRESSION} on the frozen features{some} gives "
        f"{accuracy[REGRESSION]:.3f}, from which this model differs by "
        f"{_with_interval(over_probe)}.",
        "The best without what the source knows is "
        f"{known}, from which it differs by {_with_interval(over_other)}.",
    ]
    change, is_certain = _judge(over_other, baselines.luck_of_the_best)
    probably = "" if is_certain else "probably "
    alone = "The source's features alone are worse than that, by "
    alone += f"{_with_interval(features)}"
    if change == "worse" and over_probe[2] < 0 and features[2] >= 0:
        sentences.append(
            f"So it {probably}is not the source that is wrong, as a regression "
            "on its features does better: the head has not been trained to "
            "its end, or what came after did harm. Try more epochs, or "
            '`kt.strategies.extraction(solver="lbfgs")`.'
        )
    elif change == "worse":
        sentences.append(f"So this {probably}is negative transfer.")
        if features[2] < 0:
            sentences.append(f"{alone}.")
        sentences.append(
            "Are inputs as the source expects them? Try another source "
            '(`kt.rank_backbones`), or `strategy="scratch"`.'
        )
    elif change == "better":
        sentences.append(f"So transfer {probably}helps.")
        if features[2] < 0:
            sentences.append(f"{alone}; training made up for it.")
    else:
        sentences.append("So whether transfer helps is not clear.")
        if features[2] < 0:
            sentences.append(f"{alone}.")
    if SCRATCH not in baselines.right and not is_certain:
        sentences.append(
            "The same model from random weights was not tried: "
            '`baselines="scratch"` does that.'
        )
    return sentences


def _judge(gain, luck) -> tuple[str, bool]:
    """Return "better", "worse" or "", and whether that is certain."""
    mean, low, high = gain
    if low > 0 or high + luck < 0:
        return ("better" if low > 0 else "worse"), True
    least = max(_LEAST, _ONE_IN_TEN * (high - low) / _ERRORS_WIDE)
    if mean >= least:
        return "better", False
    return ("worse" if mean + luck <= -least else ""), False


def describe_slices(rows: list[dict]) -> list[str]:
    """Name the parts of the data that do worse than the rest.

    Args:
        rows: From `slice_rows`.
    """
    worse = [row for row in rows if row["worse"]]
    if not worse:
        return []
    named = ", ".join(
        f"{row['slice']} {row['value']} ({row['accuracy']:.3f}, "
        f"{row['low']:.3f} to {row['high']:.3f})"
        for row in worse
    )
    return [f"Worse than the rest, beyond chance: {named}."]


def _with_interval(gain) -> str:
    mean, low, high = gain
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
