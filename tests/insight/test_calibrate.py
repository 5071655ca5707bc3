"""Probabilities made honest, against scikit-learn and by definition."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.linear_model import LogisticRegression

import keras_transfer as kt
from keras_transfer.builders.extend_classes import extend_classes
from keras_transfer.insight.calibrate import calibrate, measure_calibration
from keras_transfer.insight.temperature import (
    apply_temperature,
    calibration_error,
    find_logits,
    fit_temperature,
)


def draw(temperature, count=4000, classes=4, seed=0):
    """Logits that are too large by a factor, and labels as they should be."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, classes))
    chances = apply_temperature(logits, 1.0, exclusive=True)
    labels = np.array([random.choice(classes, p=p) for p in chances])
    return temperature * logits, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_it_finds_by_how_much_logits_are_too_large(temperature):
    logits, labels = draw(temperature)
    found = fit_temperature(logits, np.eye(4)[labels], exclusive=True)
    assert found == pytest.approx(temperature, rel=0.06)


def test_of_one_sigmoid_it_is_a_logistic_regression():
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (500, 1))
    labels = random.random((500, 1)) < 1 / (1 + np.exp(-logits / 2.5))
    found = fit_temperature(logits, labels.astype(int), exclusive=False)
    oracle = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8)
    slope = oracle.fit(logits, labels[:, 0]).coef_[0, 0]
    assert found == pytest.approx(1 / slope, rel=1e-3)


@pytest.mark.parametrize("exclusive", [True, False])
def test_logits_come_back_from_probabilities(exclusive):
    logits = np.random.default_rng(0).normal(0, 5, (50, 3))
    chances = apply_temperature(logits, 1.0, exclusive=exclusive)
    found = find_logits(chances, exclusive=exclusive)
    for temperature in (0.5, 2.0):
        np.testing.assert_allclose(
            apply_temperature(found, temperature, exclusive=exclusive),
            apply_temperature(logits, temperature, exclusive=exclusive),
            atol=1e-6,
        )


def test_the_error_of_an_oversure_model_shrinks():
    logits, labels = draw(3.0)
    found = measure_calibration(
        labels, logits, exclusive=True, from_logits=True
    )
    assert found.error_before > 0.15 and found.error_after < 0.03
    assert found.loss_after < found.loss_before
    assert found.examples == 4000
    assert "at temperature 3" in str(found) or "2.9" in str(found)


def test_temperatures_are_those_of_other_examples():
    # Were an example's own answer used, this would look perfect.
    logits, labels = draw(1.0, count=15)
    found = measure_calibration(
        labels, 5 * logits, exclusive=True, from_logits=True
    )
    best = fit_temperature(5 * logits, np.eye(4)[labels], exclusive=True)
    chances = apply_temperature(5 * logits, best, exclusive=True)
    flattering = -np.log(chances[np.arange(15), labels]).mean()
    assert found.loss_after > flattering


def test_several_labels_count_each_answer():
    chances = np.array([[0.9, 0.2], [0.6, 0.3]])
    marks = np.array([[1, 0], [0, 0]])
    # 0.9 right, 0.8 right, 0.6 wrong, 0.7 right, each in a bin of its own.
    expected = (0.1 + 0.2 + 0.6 + 0.3) / 4
    found = calibration_error(chances, marks, exclusive=False)
    assert found == pytest.approx(expected)


def classifier(kind):
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu")(inputs)
    loss = "sparse_categorical_crossentropy"
    if kind == "softmax":
        outputs = layers.Dense(3, "softmax")(x)
    elif kind == "softmax layer":
        outputs = layers.Softmax()(layers.Dense(3, use_bias=False)(x))
    elif kind == "activation":
        outputs = layers.Activation("softmax")(layers.Dense(3)(x))
    elif kind == "logits":
        outputs = layers.Dense(3)(x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    elif kind == "binary":
        outputs, loss = layers.Dense(1, "sigmoid")(x), "binary_crossentropy"
    elif kind == "several labels":
        outputs, loss = layers.Dense(3, "sigmoid")(x), "binary_crossentropy"
    model = keras.Model(inputs, outputs, name=kind.replace(" ", "_"))
    model.compile(loss=loss)
    # As sure of itself as after a long training.
    kernel = [w for w in model.weights if w.name == "kernel"][-1]
    kernel.assign(8 * kernel)
    return model


def examples(model):
    """Labels of which the model knows three in four."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 6)).astype("float32")
    outputs = model.predict(x, verbose=0)
    known = random.random(60) < 0.75
    if model.name.startswith(("binary", "several")):
        other = random.integers(0, 2, outputs.shape)
        return x, np.where(known[:, None], outputs > 0.5, other)
    return x, np.where(known, outputs.argmax(axis=1), random.integers(0, 3, 60))


KINDS = (
    "softmax",
    "softmax layer",
    "activation",
    "logits",
    "binary",
    "several labels",
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_has_it_and_files_too(kind, tmp_path):
    model = classifier(kind)
    x, y = examples(model)
    before = model.predict(x, verbose=0)
    found = calibrate(model, (x, y))
    after = model.predict(x, verbose=0)
    if kind == "logits":
        expected = before / found.temperature
    else:
        exclusive = kind not in ("binary", "several labels")
        expected = apply_temperature(
            find_logits(before, exclusive=exclusive),
            found.temperature,
            exclusive=exclusive,
        )
    assert found.temperature > 1.2
    np.testing.assert_allclose(after, expected, atol=2e-5)
    model.save(tmp_path / "calibrated.keras")
    loaded = keras.models.load_model(
        tmp_path / "calibrated.keras", compile=False
    )
    assert np.array_equal(loaded.predict(x, verbose=0), after)
    again = calibrate(model, (x, y))
    assert again.temperature == pytest.approx(1, abs=0.01)
    assert again.error_before < found.error_before


def test_a_classifier_of_ours_keeps_its_answers():
    base = classifier("softmax")
    backbone = kt.load_backbone(base)
    model = kt.build_classifier(backbone, ["a", "b", "c"])
    x, y = examples(base)
    model.layers[-1].kernel.assign(40 * model.layers[-1].kernel)
    before = model.predict(x, verbose=0).argmax(axis=1)
    calibrate(model, (x, y))
    assert np.array_equal(model.predict(x, verbose=0).argmax(axis=1), before)


def lora():
    model = classifier("softmax")
    model.layers[-1].enable_lora(2)
    return model


def used_twice():
    inputs, dense = keras.Input((6,)), layers.Dense(6)
    return keras.Model(inputs, layers.Softmax()(dense(dense(inputs))))


def no_loss():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3)(inputs))


def other_end():
    inputs = keras.Input((6,))
    outputs = layers.ReLU()(layers.Dense(3, "softmax")(inputs))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("make", [lora, used_twice, no_loss, other_end])
def test_other_models_are_left_alone(make):
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match="must"):
        calibrate(model, examples(model))
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(old, new)


def test_outputs_that_are_not_finite_change_nothing():
    model = classifier("softmax")
    data = examples(model)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + [np.nan, 0, 0]])
    with pytest.raises(ValueError, match="finite"):
        calibrate(model, data)
    assert np.array_equal(model.layers[-1].kernel, kernel)


def test_a_model_with_more_classes():
    logits, labels = draw(3.0, count=300)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(2, activation="softmax")]
    )
    new = extend_classes(model, 2)
    first, second = (x for x in new.layers if isinstance(x, layers.Dense))
    first.kernel.assign(np.eye(4)[:, :2])
    second.kernel.assign(np.eye(4)[:, 2:])
    data = logits.astype("float32"), labels
    before = new.predict(data[0], verbose=0)
    found = calibrate(new, data)
    after = new.predict(data[0], verbose=0)
    assert found.temperature == pytest.approx(3.0, rel=0.2)
    expected = apply_temperature(logits, found.temperature, exclusive=True)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    np.testing.assert_array_equal(after.argmax(1), before.argmax(1))
