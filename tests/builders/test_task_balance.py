"""Learned weights of tasks, against the closed forms of the paper."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.builders.task_balance import TaskBalance
from tests import several_tasks

NAMES = list(several_tasks.TASKS)
FACTORS = np.array([1, 1, 0.5, 1])  # a crossentropy counts in full


def layer(factors, spread):
    balance = TaskBalance(factors)
    balance.build((None, 3))
    balance.log_variances.assign(spread)
    return balance


def test_the_sum_and_its_gradient_in_closed_form():
    rng = np.random.default_rng(0)
    losses, spread = rng.uniform(0, 3, 4), rng.normal(0, 1, 4)
    there = np.array([True, True, False, True])
    balance = layer(FACTORS, spread)
    values = tf.constant(losses, "float32")
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = balance.weigh(values, there)
    variable = balance.log_variances.value
    slope, pull = tape.gradient(total, [variable, values])
    weights = FACTORS * np.exp(-spread)
    assert float(total) == pytest.approx(
        (weights * losses + spread / 2)[there].sum(), rel=1e-5
    )
    expected = np.where(there, 0.5 - weights * losses, 0)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)
    assert slope.numpy()[2] == 0
    np.testing.assert_allclose(pull, np.where(there, weights, 0), rtol=1e-5)
    np.testing.assert_allclose(balance.read_weights(), weights, rtol=1e-5)


def test_variances_end_where_the_paper_has_them():
    losses = tf.constant([0.4, 2.0, 3.0])
    balance = layer([1.0, 1.0, 0.5], np.zeros(3))
    optimizer = keras.optimizers.SGD(0.5)
    variable = balance.log_variances
    for _ in range(200):
        with tf.GradientTape() as tape:
            total = balance.weigh(losses, np.array([True] * 3))
        optimizer.apply([tape.gradient(total, variable.value)], [variable])
    # exp(s) = 2 L for a crossentropy, and L for a regression.
    np.testing.assert_allclose(np.exp(variable), [0.8, 4.0, 3.0], rtol=1e-4)


def test_what_is_trained_is_that_sum_of_the_losses_that_are_logged():
    model = several_tasks.build(balance="uncertainty", dropout=0)
    spread = np.array([0.3, -0.4, 0.8, 0.1], "float32")
    model.get_layer("task_balance").log_variances.assign(spread)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    x, y = several_tasks.examples(24)
    logs = model.evaluate(x, y, batch_size=24, return_dict=True, verbose=0)
    losses = np.array([logs[f"{name}_loss"] for name in NAMES])
    weights = FACTORS * np.exp(-spread)
    total = (weights * losses + spread / 2).sum()
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    assert model.task_weights() == pytest.approx(
        dict(zip(NAMES, weights, strict=True))
    )
    model.fit(x, y, batch_size=24, verbose=0)
    moved = model.get_layer("task_balance").log_variances.numpy() - spread
    np.testing.assert_allclose(
        moved, -0.1 * (0.5 - weights * losses), rtol=1e-3
    )


def test_a_task_without_labels_in_a_batch_does_not_move_its_variance():
    model = several_tasks.build(balance="uncertainty")
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    x, y = several_tasks.examples(24, missing=0)
    y = {**y, "dark": np.full(24, np.nan), "tags": np.full((24, 2), -1)}
    weight = {name: np.ones(24) for name in NAMES}
    weight["colour"] = np.zeros(24)
    model.fit(x, y, sample_weight=weight, verbose=0)
    moved = model.get_layer("task_balance").log_variances.numpy() != 0
    assert moved.tolist() == [False, False, True, False]


def test_variances_are_of_the_head_and_are_trained_and_saved_with_it(tmp_path):
    model = several_tasks.build(balance="uncertainty")
    variable = model.get_layer("task_balance").log_variances
    head = kt.layer_groups(model)[-1]
    assert head.name == "head"
    assert any(v is variable for v in head.variables)
    x, y = several_tasks.examples()
    model.compile("adam", run_eagerly=True)
    model.fit(x, y, verbose=0)
    trained = variable.numpy()
    assert trained.all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.task_weights() == model.task_weights()
    kt.set_trainable(model, "block_2")
    model.compile("adam", run_eagerly=True)
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(variable, trained)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    served = served.serve(x[:3].astype("float32"))
    for name, outputs in model(x[:3]).items():
        np.testing.assert_allclose(served[name], outputs, rtol=1e-4)
