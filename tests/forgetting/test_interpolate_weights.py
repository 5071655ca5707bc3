import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.forgetting.interpolate_weights import interpolate_weights
from tests.networks import (
    batch_for,
    build,
    randomize,
    tiny_backbone,
    train,
    values,
)


def two_of(name):
    """Build a network twice, with other weights and the same statistics."""
    before, after = build(name), build(name)
    random = np.random.default_rng(5)
    for weight in after.weights:
        if not weight.name.startswith("moving"):
            weight.assign_add(random.normal(0, 0.1, weight.shape))
    return before, after


@pytest.mark.parametrize(
    "name", ["text_rnn", "nested_twice", "blocks", "subclassed", "OwnCall"]
)
def test_weights_are_between_those_of_two_models(name):
    before, after = two_of(name)
    starts = values(before.weights), values(after.weights)
    between = interpolate_weights(before, after, 0.3)
    for a, b, c in zip(*starts, values(between.weights), strict=True):
        np.testing.assert_allclose(c, 0.7 * a + 0.3 * b, rtol=1e-6, atol=1e-7)
    for model, start in zip((before, after), starts, strict=True):
        for weight, value in zip(model.weights, start, strict=True):
            assert np.array_equal(weight, value)
    x = batch_for(between)
    outputs = keras.tree.flatten(between(x, training=False))
    after.set_weights(between.get_weights())
    expected = keras.tree.flatten(after(x, training=False))
    for one, two in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("as_lists", [(), (0,), (1,)])
def test_the_ends_are_exact(as_lists):
    ends = build("cnn"), build("cnn")
    randomize(ends[1], seed=7)
    given = [
        end.get_weights() if n in as_lists else end
        for n, end in enumerate(ends)
    ]
    # BatchNorm differs, but between the ends only.
    for alpha, end in enumerate(ends):
        found = interpolate_weights(*given, alpha)
        for one, two in zip(found.weights, end.weights, strict=True):
            assert np.array_equal(one, two)


def test_what_is_the_same_stays_to_the_bit():
    before, after = two_of("mlp")
    after.layers[0].set_weights(before.layers[0].get_weights())
    for alpha in (0.1, 0.3, 0.7):
        found = interpolate_weights(before, after, alpha)
        assert np.array_equal(found.layers[0].kernel, before.layers[0].kernel)


class Counting(layers.Dropout):
    """A layer with a counter, of a class that Keras does not know."""

    def build(self, shape):
        self.count = self.add_weight(
            shape=(), dtype="int32", trainable=False, initializer="zeros"
        )
        super().build(shape)


def test_integers_and_random_states_are_those_after():
    models = []
    for number in (1, 2):
        layer = Counting(0.5, seed=number)
        models.append(keras.Sequential([keras.Input((4,)), layer]))
        layer.count.assign(10 * number)
    for number, model in enumerate(models, start=1):
        found = interpolate_weights(models[0], model, 0.5).layers[0]
        assert int(found.count) == 10 * number
        for one, two in zip(
            found.variables, model.layers[0].variables, strict=True
        ):
            assert np.array_equal(one, two)


def test_it_is_compiled_alike_and_trains_on():
    before, after = two_of("mlp")
    after.compile(
        keras.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    x, y = batch_for(after, 12), np.arange(12) % 3
    after.fit(x, y, verbose=0)
    between = interpolate_weights(before.get_weights(), after, 0.5)
    assert set(between.evaluate(x, y, verbose=0, return_dict=True)) == {
        "loss",
        "accuracy",
    }
    assert float(between.optimizer.learning_rate) == pytest.approx(0.02)
    weights = values(after.weights)
    between.fit(x, y, epochs=2, verbose=0)
    for weight, value in zip(after.weights, weights, strict=True):
        assert np.array_equal(weight, value)


def test_between_before_and_after_fine_tune():
    model = kt.build_classifier(tiny_backbone(), ["a", "b", "c"])
    before = model.get_weights()
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (24, 8, 8, 3)).astype("float32")
    y = np.arange(24) % 3
    optimizer = kt.DiscriminativeOptimizer(keras.optimizers.Adam(), decay=0.9)
    result = kt.fine_tune(
        model, (x, y), strategy="fine_tuning", epochs=2, optimizer=optimizer
    )
    found = interpolate_weights(before, result.model, 0.5)
    assert found.class_names == ["a", "b", "c"]
    assert type(found.optimizer) is type(model.optimizer)
    found.fit(x, y, verbose=0)


def test_a_loss_of_ones_own_is_kept():
    def own_loss(y, outputs):
        return keras.ops.mean(keras.ops.square(y - outputs), axis=-1)

    before, after = two_of("mlp")
    after.compile("sgd", own_loss)
    between = interpolate_weights(before, after, 0.5)
    x = batch_for(after)
    assert between.compiled
    between.evaluate(x, np.ones((len(x), 3)), verbose=0)


def test_what_trains_stays_the_same():
    before, after = two_of("cnn")
    for model in (before, after):
        kt.set_trainable(model, "top:2")
    found = interpolate_weights(before, after, 0.5)
    assert [w.trainable for w in found.weights] == [
        w.trainable for w in after.weights
    ]
    names = [w.path for w in found.trainable_weights]
    assert names == [w.path for w in after.trainable_weights]


def test_frozen_batch_norm_needs_nothing():
    model = build("cnn")
    kt.set_trainable(model, "all")
    before = model.get_weights()
    x = batch_for(model, 12)
    train(model, x, epochs=2)
    found = interpolate_weights(before, model, 0.5)  # warnings are errors
    statistics = [w.path for w in model.weights if w.name == "moving_mean"]
    assert statistics
    for one, two in zip(found.weights, model.weights, strict=True):
        if one.path in statistics:
            assert np.array_equal(one, two)


def test_batch_norm_that_was_trained_is_computed_anew():
    before = build("cnn")
    after = build("cnn")
    x = batch_for(after, 20)
    train(after, x, epochs=3)
    with pytest.warns(UserWarning, match="4 BatchNorm layers were averaged"):
        interpolate_weights(before, after, 0.5)
    data = x, np.zeros(20)
    found = interpolate_weights(before, after, 0.5, train_data=data)
    bn = found.get_layer("first_bn")
    maps = found.get_layer("first_conv")(x).numpy()
    np.testing.assert_allclose(bn.moving_mean, maps.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(
        bn.moving_variance, maps.var((0, 1, 2)), rtol=1e-4
    )


def test_what_does_not_fit_is_refused():
    model = build("mlp")
    with pytest.raises(ValueError, match="before with 18|before with"):
        interpolate_weights(build("cnn"), model, 0.5)
    wrong = model.get_weights()
    wrong[2] = wrong[2][:, :5]
    with pytest.raises(ValueError, match=r"after with array 2 \(8, 5\) for"):
        interpolate_weights(model, wrong, 0.5)
    with pytest.raises(ValueError, match="`after` must be a Keras model"):
        interpolate_weights(model, "after.keras", 0.5)
    with pytest.raises(ValueError, match="At least one must be a Keras model"):
        interpolate_weights(wrong, wrong, 0.5)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), "half", None])
def test_alpha_is_a_share(alpha):
    model = build("mlp")
    with pytest.raises(ValueError, match="Received: alpha="):
        interpolate_weights(model, model, alpha)
