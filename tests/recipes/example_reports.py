"""Reports that took no training."""

import numpy as np

from keras_transfer.board.class_report import class_rows
from keras_transfer.data.outcomes import count_outcomes
from keras_transfer.insight.baselines import Baselines
from keras_transfer.insight.calibrate import Calibration
from keras_transfer.insight.slices import slice_rows
from keras_transfer.recipes.report import PhaseRecord, Report

NAMES = ["<script>alert(1)</script>", 'a "quoted" | fig', "größe & 大"]


def draw_answers(examples=240, classes=3, seed=0):
    """Draw labels and probabilities that are often right, the first never."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    logits = rng.normal(0, 1, (examples, classes))
    logits[np.arange(examples), labels] += np.where(labels == 0, -9, 2)
    outputs = np.exp(logits)
    return labels, outputs / outputs.sum(axis=1, keepdims=True)


def full_report(names=NAMES, **changes) -> Report:
    """Make a report that knows everything."""
    rng = np.random.default_rng(1)
    labels, outputs = draw_answers(classes=len(names))
    right = outputs.argmax(axis=1) == labels
    accuracy = float(right.mean())
    cameras = np.array(["phone", "<b>scan</b>"])[(labels > 1).astype(int)]
    known = {
        "measured_on": "validation",
        "accuracy_before": 0.125,
        "phases": (
            PhaseRecord("head", 3, 61.04, 0.5, (14, 1_000_000)),
            PhaseRecord("all & more", 2, 99.0, accuracy, (900, 1_000_000)),
        ),
        "classes": class_rows(count_outcomes(labels, outputs), names),
        "weights": "The weights are those of epoch 4.",
        "log_dir": "logs/<run>",
        "examples": len(labels),
        "answers": (labels, outputs),
        "right": right,
        "history": {
            "accuracy": [0.3, 0.4, 0.5, 0.6, 0.7],
            "loss": [1.5, 1.25, 1.0, 0.75, 0.625],
            "val_accuracy": [0.2, 0.3, 0.4, 0.45, 0.5],
            "val_loss": [1.75, 1.5, 1.25, 1.0, 1.125],
        },
        "baselines": Baselines(
            {
                "logistic regression": (rng.random(240) < 0.4).astype(float),
                "most frequent class": (labels == 1).astype(float),
            },
            "validation",
            1.0,
        ),
        "calibration": Calibration(1.5, 0.25, 0.0625, 1.2, 0.9, 240),
        "slices": slice_rows(
            right, {"class": np.array(names)[labels], "camera": cameras}
        ),
        "settings": {"model": "tiny<net>", "strategy": "lp_ft", "seed": 7},
    }
    return Report(**{**known, **changes})


def bare_report(**changes) -> Report:
    """Make a report of a regression, which knows next to nothing."""
    nan = float("nan")
    known = {
        "measured_on": "training",
        "accuracy_before": nan,
        "phases": (PhaseRecord("all", 5, 1.0, nan, (3, 3)),),
        "classes": [],
        "weights": "",
        "log_dir": None,
    }
    return Report(**{**known, **changes})


def several_labels_report(labels=None) -> Report:
    """Make a report whose examples may be of several classes."""
    rng = np.random.default_rng(2)
    if labels is None:
        labels = rng.integers(0, 2, (60, 3))
    outputs = (labels + rng.random((60, 3))) / 2
    outcomes = count_outcomes(labels, outputs, binary_loss=True)
    right = ((outputs > 0.5) == labels).all(axis=1)
    accuracy = float(((outputs > 0.5) == labels).mean())
    return bare_report(
        measured_on="validation",
        phases=(PhaseRecord("all", 5, 1.0, accuracy, (3, 3)),),
        classes=class_rows(outcomes, ["a", "b", "c"]),
        examples=60,
        is_exclusive=False,
        answers=(labels, outputs),
        right=right,
    )
