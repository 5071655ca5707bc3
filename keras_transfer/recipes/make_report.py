"""From a trained model to its report."""

import contextlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.class_report import class_rows
from keras_transfer.board.confidences import as_probabilities, read_guesses
from keras_transfer.builders.multitask_model import MultitaskModel
from keras_transfer.caching.answers import (
    collect_answers,
    gives_logits,
    name_classes,
    tally_answers,
)
from keras_transfer.insight.calibrate import measure_calibration
from keras_transfer.insight.slices import slice_rows
from keras_transfer.recipes.report import Report
from keras_transfer.recipes.task_scores import score_tasks


def make_report(
    model: keras.Model,
    data,
    predict: Callable,
    *,
    class_names: Sequence[str] | None,
    slices: Mapping[str, Sequence] | None,
    measured_on: str,
    **known,
) -> Report:
    """Ask a trained model, and report what it answers.

    Args:
        model: A compiled model.
        data: Labelled data, as for `collect_answers`.
        predict: From `make_predict(model)`.
        class_names: Names of the classes, or `None`.
        slices: For each name a value for each example, or `None`.
        measured_on: `"validation"` or `"training"`.
        **known: What else the report holds.

    Returns:
        A `Report`.
    """
    found = {}
    answers = collect_answers(model, data, predict)
    if isinstance(model, MultitaskModel):
        found["tasks"] = score_tasks(model, answers)
    answers = answers.get("")
    outcomes = None if answers is None else tally_answers(model, *answers)
    if outcomes is not None:
        names = name_classes(model, data, len(outcomes), class_names)
        is_exclusive = outcomes.ndim == 2
        labels, outputs = answers
        logits = gives_logits(model)
        chances = as_probabilities(
            outputs, from_logits=logits, multi_label=not is_exclusive
        )
        if is_exclusive:
            guesses = read_guesses(chances, labels)
            right = guesses.is_right
            true_names = np.array(names, dtype=str)[guesses.labels]
            slices = {"class": true_names, **(slices or {})}
        else:
            right = ((chances > 0.5) == (labels > 0.5)).all(axis=1)
        found = {
            "classes": class_rows(outcomes, names),
            "examples": len(right),
            "is_exclusive": is_exclusive,
            "answers": (labels, chances),
            "right": right,
            "slices": slice_rows(right, slices or {}),
        }
        if measured_on == "validation":
            # One output is a sigmoid, of two classes that exclude each other.
            softmax = is_exclusive and len(outcomes) == outputs.shape[1]
            with contextlib.suppress(ValueError):  # Soft labels have none.
                found["calibration"] = measure_calibration(
                    *answers, exclusive=softmax, from_logits=logits
                )
    return Report(measured_on=measured_on, **{"classes": [], **found}, **known)
