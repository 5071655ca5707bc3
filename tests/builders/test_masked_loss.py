"""Loss and metrics of labels that may be missing, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.builders.masked_loss import MaskedLoss
from keras_transfer.builders.masked_metric import MaskedMetric
from keras_transfer.builders.task import Task
from keras_transfer.builders.task_objectives import (
    choose_losses,
    choose_metrics,
)

UNITS = {"classes": 4, "binary": 1, "multi_label": 3, "regression": 1}
KINDS = list(UNITS)
MISSING = {
    "classes": (-1, -7, np.nan),
    "binary": (np.nan, -1),
    "multi_label": (np.nan, -1),
    "regression": (np.nan,),
}


def draw(kind, count=20, seed=0):
    """Draw labels, some missing, outputs and weights."""
    rng = np.random.default_rng(seed)
    outputs = rng.uniform(0.05, 0.95, (count, UNITS[kind]))
    if kind == "classes":
        outputs /= outputs.sum(axis=1, keepdims=True)
        labels = rng.integers(0, 4, count).astype("float64")
    elif kind == "regression":
        labels = rng.normal(0, 2, count)
    else:
        labels = rng.integers(0, 2, outputs.shape).astype("float64")
    is_missing = rng.uniform(size=labels.shape) < 0.4
    signs = rng.choice(MISSING[kind], labels.shape)
    labels[is_missing] = signs[is_missing]
    return labels, outputs, rng.uniform(0, 2, count)


def each_label(kind, labels, outputs, weights):
    """List loss, whether it is right or how wrong, and weight, by hand."""
    losses, scores, kept = [], [], []
    for n, row in enumerate(labels.reshape(len(labels), -1)):
        for unit, label in enumerate(row):
            if np.isnan(label) or (label < 0 and kind != "regression"):
                continue
            kept.append(weights[n])
            chance = outputs[n, unit]
            if kind == "classes":
                losses.append(-np.log(outputs[n, int(label)]))
                scores.append(float(outputs[n].argmax() == label))
            elif kind == "regression":
                losses.append((chance - label) ** 2)
                scores.append(abs(chance - label))
            else:
                losses.append(-np.log(chance if label else 1 - chance))
                scores.append(float((chance > 0.5) == label))
    return np.array(losses), np.array(scores), np.array(kept)


def task(kind):
    return Task("it", kind, UNITS[kind])


def loss_of(kind):
    return choose_losses([task(kind)], None)["it"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_is_over_the_labels_that_are_there(kind, weighted):
    labels, outputs, weights = draw(kind)
    losses, _, kept = each_label(kind, labels, outputs, weights)
    assert 0 < len(losses) < labels.size
    found = loss_of(kind)(labels, outputs, weights if weighted else None)
    expected = (losses * kept if weighted else losses).sum() / len(losses)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_other_examples_alone(kind):
    labels, outputs, _ = draw(kind)
    outputs = tf.constant(outputs, "float32")
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = loss_of(kind)(labels, outputs)
    gradient = tape.gradient(loss, outputs).numpy()
    missing = np.isnan(labels) | ((labels < 0) & (kind != "regression"))
    missing = missing.reshape(len(labels), -1)
    assert np.all(gradient[np.broadcast_to(missing, gradient.shape)] == 0)
    assert np.isfinite(gradient).all()
    assert np.all(gradient[~missing.all(axis=1)].any(axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_of_no_label_the_loss_is_0_and_so_is_its_gradient(kind):
    labels, outputs, weights = draw(kind)
    outputs = tf.constant(outputs, "float32")
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = loss_of(kind)(np.full(labels.shape, np.nan), outputs, weights)
    assert float(loss) == 0.0
    assert not tape.gradient(loss, outputs).numpy().any()


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_are_those_of_all_labels_however_batched(kind):
    labels, outputs, weights = draw(kind, 23)
    _, scores, kept = each_label(kind, labels, outputs, weights)
    [metric] = choose_metrics([task(kind)], None)["it"]
    for weighted in (False, True):
        metric.reset_state()
        for rows in (slice(0, 9), slice(9, 10), slice(10, 23)):
            weight = weights[rows] if weighted else None
            metric.update_state(labels[rows], outputs[rows], weight)
        expected = np.average(scores, weights=kept if weighted else None)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    metric.update_state(np.full(labels.shape, np.nan), outputs)
    assert float(metric.result()) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_labels_in_a_column_and_of_whole_numbers_are_the_same(kind):
    labels, outputs, weights = draw(kind)
    if kind == "regression":
        labels = np.round(labels)
        whole = labels[~np.isnan(labels)].astype("int16")
        labels, outputs = labels[~np.isnan(labels)], outputs[: len(whole)]
        weights = weights[: len(whole)]
    else:
        whole = np.where(np.isnan(labels), -1, labels).astype("int8")
    column = whole.reshape(len(whole), -1)
    first, *others = (
        float(loss_of(kind)(y, outputs, w))
        for y in (labels, whole, column)
        for w in (weights, weights[:, None])
    )
    assert others == [first] * 5


def test_without_missing_labels_it_is_the_loss_itself_to_the_bit():
    labels, outputs, weights = draw("classes")
    labels = np.abs(np.nan_to_num(labels)) % 4
    plain = keras.losses.SparseCategoricalCrossentropy()
    for weight in (None, weights):
        assert float(loss_of("classes")(labels, outputs, weight)) == float(
            plain(labels, outputs, weight)
        )


@pytest.mark.parametrize(
    ("loss", "compute"),
    [
        ("mae", np.abs),
        (keras.losses.LogCosh(), lambda error: np.log(np.cosh(error))),
    ],
)
def test_other_losses_are_masked_and_come_back_from_their_config(loss, compute):
    labels, outputs, _ = draw("regression")
    errors = compute(labels - outputs[:, 0])
    masked = MaskedLoss(loss, "regression")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(masked)
    )
    for each in (masked, again):
        found = float(each(labels, outputs))
        assert found == pytest.approx(np.nanmean(errors))
    assert again.name == masked.name


def test_other_metrics_are_masked_and_come_back_from_their_config():
    labels, outputs, _ = draw("binary", 60)
    known = ~(np.isnan(labels) | (labels < 0))
    expected = keras.metrics.AUC()
    expected.update_state(labels[known][:, None], outputs[known][:, None])
    masked = MaskedMetric(keras.metrics.AUC(), "binary")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(masked)
    )
    for each in (masked, again):
        each.update_state(labels, outputs)
        assert float(each.result()) == pytest.approx(float(expected.result()))
    assert again.name == masked.name and len(again.variables) == 4


def test_callbacks_know_what_is_better():
    for kind, direction in (("binary", "up"), ("regression", "down")):
        [metric] = choose_metrics([task(kind)], None)["it"]
        assert metric._direction == direction


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("classes", (5, 4)), ("binary", (5, 2)), ("multi_label", (5,))],
)
def test_labels_of_another_shape_are_refused(kind, shape):
    outputs = np.full((5, UNITS[kind]), 0.3)
    with pytest.raises(ValueError, match="labels of shape"):
        loss_of(kind)(np.zeros(shape), outputs)
