"""Precision and recall of each class, over all thresholds."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorboard.plugins.pr_curve import metadata

from keras_transfer.board.confidences import as_probabilities

_THRESHOLDS = 101
_MOST_CLASSES = 100


def write_precision_recall(
    labels: np.ndarray,
    outputs: np.ndarray,
    names: Sequence[str],
    *,
    from_logits: bool = False,
    multi_label: bool = False,
    prefix: str = "precision_recall",
    step: int,
) -> None:
    """Write a curve for each class to the summary writer that is the default.

    TensorBoard shows them on its page "PR Curves". Classes without examples
    have none, and only the first 100 classes have one. Of classes with one
    name, the number stands behind it.

    Args:
        labels: True classes, as numbers, one-hot, or several of them marked
            for each example.
        outputs: What the model returned, `(examples, outputs)`. One output
            is the second of two classes.
        names: A name for each class.
        from_logits: Whether outputs are logits rather than probabilities.
        multi_label: Whether each output is a yes or no of its own.
        prefix: What the tags of the curves begin with.
        step: Number of the epoch.
    """
    scores = as_probabilities(
        outputs, from_logits=from_logits, multi_label=multi_label
    )
    if scores.shape[1] == 1:
        names = names[-1:]
    names = _tell_apart(names)
    is_class = _mark_classes(labels, scores.shape[1], multi_label)
    for name, truth, score in list(
        zip(names, is_class.T, scores.T, strict=True)
    )[:_MOST_CLASSES]:
        if truth.any():
            tf.summary.write(
                f"{prefix}/{name}",
                count_over_thresholds(truth, score, _THRESHOLDS),
                step=step,
                metadata=_describe(name, _THRESHOLDS),
            )


def count_over_thresholds(
    truth: np.ndarray, scores: np.ndarray, thresholds: int
) -> np.ndarray:
    """Count outcomes where a score counts as a yes from a threshold on.

    Args:
        truth: Whether each example is of the class, `(examples,)`.
        scores: The probability that it is, `(examples,)`, in [0, 1].
        thresholds: How many thresholds, evenly spaced from 0 to 1.

    Returns:
        A float32 array `(6, thresholds)`: true positives, false positives,
        true negatives, false negatives, precision and recall, in the order in
        which TensorBoard has them. A precision is 0 where nothing is a yes.
    """
    # How many thresholds each score reaches.
    reached = np.floor(scores * (thresholds - 1) + 1e-6).astype("int64")
    true, false = (
        np.bincount(reached[side], minlength=thresholds)[::-1].cumsum()[::-1]
        for side in (truth, ~truth)
    )
    precision = true / np.maximum(true + false, 1)
    recall = true / max(true[0], 1)
    counts = [true, false, false[0] - false, true[0] - true, precision, recall]
    return np.stack(counts).astype("float32")


def _tell_apart(names) -> list[str]:
    names = list(map(str, names))
    times = Counter(names)
    return [
        f"{name} ({number})" if times[name] > 1 else name
        for number, name in enumerate(names)
    ]


def _mark_classes(labels, outputs: int, multi_label: bool) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == outputs:
        if multi_label or outputs == 1:
            return labels > 0.5
        labels = labels.argmax(axis=1)
    labels = labels.reshape(-1)
    if outputs == 1:
        return labels[:, None] > 0.5
    return labels[:, None] == np.arange(outputs)


def _describe(name: str, thresholds: int) -> tf.compat.v1.SummaryMetadata:
    described = metadata.create_summary_metadata(name, "", thresholds)
    return tf.compat.v1.SummaryMetadata.FromString(
        described.SerializeToString()
    )
