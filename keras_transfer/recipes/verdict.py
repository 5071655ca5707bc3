"""Whether a training helped, in a few sentences."""

import math

from keras_transfer.board.wilson_interval import wilson_interval

_AS_GOOD_AS_CHANCE = (
    ", which may be as good. Do labels and examples belong together, and has "
    "the head trained long enough?"
)


def describe_verdict(
    accuracies: list[float],
    examples: int,
    supports: dict[str, int] | None,
    measured_on: str,
    is_chosen: bool,
) -> str:
    """Say what an accuracy is worth, and whether fine-tuning helped.

    Args:
        accuracies: The accuracy after each phase, in [0, 1].
        examples: How many examples it was measured on.
        supports: How many of them each class has, by its name; `None` where
            an example may be of several classes.
        measured_on: `"validation"` or `"training"` data.
        is_chosen: Whether the weights were chosen on the same examples.

    Returns:
        Sentences: the accuracy with its 95 % interval (Wilson's), what the
        most frequent class alone would give, and by how much the last phase
        is better than the first, where luck may explain it (less than two
        standard errors of a difference between two such accuracies).
    """
    last = accuracies[-1]
    if not examples or math.isnan(last):
        return ""
    low, high = wilson_interval(last, examples)
    sentences = [
        f"Verdict: {last:.3f} on {examples:,} {measured_on} examples, so "
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
    if len(accuracies) > 1:
        sentences.append(_describe_gain(accuracies[0], last, examples))
    return "\n".join(sentences)


def _describe_gain(first: float, last: float, examples: int) -> str:
    gain, mean = last - first, (first + last) / 2
    error = math.sqrt(2 * mean * (1 - mean) / examples)
    text = f"What came after the first phase changed that by {gain:+.3f}"
    if abs(gain) < 2 * error:
        return f"{text}, which luck may explain (±{2 * error:.3f})."
    if gain > 0:
        return f"{text}: it helped."
    return (
        f'{text}: it did harm. Try `strategy="extraction"`, a lower '
        "`learning_rate`, or fewer layer groups."
    )
