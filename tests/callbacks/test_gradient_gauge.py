import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.callbacks.gradient_gauge import GradientGauge

RATE = 0.5


def build(dtype=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", dtype=dtype),
            keras.layers.Dense(3, activation="softmax", dtype=dtype),
        ]
    )


def compile_model(model, optimizer=None, **options):
    optimizer = optimizer or keras.optimizers.SGD(RATE)
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return GradientGauge(weights_by_layer(model))


def weights_by_layer(model):
    return {layer.name: layer.variables for layer in model.layers}


def fit(model, epochs=1):
    x = np.random.default_rng(0).normal(size=(8, 6))
    model.fit(x, np.arange(8) % 3, batch_size=8, epochs=epochs, verbose=0)


def weights_of(model):
    return {layer.name: layer.get_weights() for layer in model.layers}


def distance(before, after, name):
    pairs = zip(before[name], after[name], strict=True)
    return np.sqrt(sum(np.square(a - b).sum() for a, b in pairs))


@pytest.mark.parametrize(
    "kind", ["graph", "eager", "discriminative", "mixed", "scaled"]
)
def test_a_step_of_gradient_descent_goes_as_far_as_the_gradient(kind):
    model = build("mixed_float16" if kind == "mixed" else None)
    optimizer = keras.optimizers.SGD(RATE)
    if kind == "scaled":
        optimizer = keras.optimizers.SGD(RATE, loss_scale_factor=256)
    factors = dict.fromkeys(weights_of(model), 1)
    if kind == "discriminative":
        optimizer = kt.DiscriminativeOptimizer(optimizer, decay=0.5)
        factors[model.layers[0].name] = 0.5
    gauge = compile_model(model, optimizer, run_eagerly=kind == "eager")
    gauge.attach(model)
    before = weights_of(model)
    fit(model)
    after, found = weights_of(model), gauge.read()
    for name, factor in factors.items():
        expected = distance(before, after, name) / RATE / factor
        np.testing.assert_allclose(found[name], expected, rtol=2e-3)
    assert gauge.read() == {}


def test_several_steps_give_the_root_of_the_mean_of_squares():
    model = build()
    gauge = compile_model(model)
    gauge.attach(model)
    norms = []
    for _ in range(3):
        before = weights_of(model)
        fit(model)
        name = model.layers[0].name
        norms.append(distance(before, weights_of(model), name) / RATE)
    expected = np.sqrt(np.mean(np.square(norms)))
    np.testing.assert_allclose(gauge.read()[name], expected, rtol=1e-3)


def test_frozen_groups_have_none():
    model = build()
    model.layers[0].trainable = False
    gauge = compile_model(model)
    gauge.attach(model)
    fit(model)
    assert list(gauge.read()) == [model.layers[1].name]


def test_rows_of_an_embedding_are_counted():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Embedding(5, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    gauge = compile_model(model)
    gauge.attach(model)
    before, name = weights_of(model), model.layers[0].name
    model.fit(np.array([[0, 1], [1, 1]]), np.array([1, 2]), verbose=0)
    expected = distance(before, weights_of(model), name) / RATE
    np.testing.assert_allclose(gauge.read()[name], expected, rtol=1e-3)


def test_the_training_is_the_same_and_the_optimizer_left_as_it_was():
    results = []
    for attaches in (False, True):
        model = build()
        gauge = compile_model(model, keras.optimizers.Adam(0.1))
        fit(model)  # with a step that was traced before
        if attaches:
            gauge.attach(model)
        fit(model, epochs=3)
        if attaches:
            assert gauge.read()
            gauge.detach(model)
        assert "apply" not in vars(model.optimizer)
        results.append(model.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_gauges_count_the_same():
    model = build()
    gauges = [compile_model(model)]
    gauges.append(GradientGauge(weights_by_layer(model)))
    for gauge in gauges:
        gauge.attach(model)
    fit(model)
    one, other = (gauge.read() for gauge in gauges)
    assert one == other and len(one) == 2


def test_a_fit_that_was_broken_off_is_not_counted_twice():
    model = build()
    gauge = compile_model(model)
    gauge.attach(model)
    fit(model)
    gauge.attach(model)
    before, name = weights_of(model), model.layers[0].name
    fit(model)
    expected = distance(before, weights_of(model), name) / RATE
    np.testing.assert_allclose(gauge.read()[name], expected, rtol=1e-3)


def test_what_was_traced_is_not_traced_again():
    model = build()
    gauge = compile_model(model)
    gauge.attach(model)
    fit(model)
    traced = model.train_function
    gauge.detach(model)
    gauge.read()
    gauge.attach(model)
    fit(model)
    assert model.train_function is traced and gauge.read()


class Patient(keras.optimizers.SGD):
    """Takes one argument more than Keras's own."""

    seen = None

    def apply(self, grads, trainable_variables=None, note=None):
        self.seen = note
        super().apply(grads, trainable_variables)


def test_other_arguments_reach_the_optimizer():
    model, optimizer = build(), Patient(RATE)
    gauge = compile_model(model, optimizer)
    gauge.attach(model)
    variables = model.trainable_variables
    gradients = [keras.ops.ones(v.shape) for v in variables]
    optimizer.apply(gradients, variables, note="here")
    assert optimizer.seen == "here"
    assert gauge.read()[model.layers[-1].name] == pytest.approx(27**0.5)
