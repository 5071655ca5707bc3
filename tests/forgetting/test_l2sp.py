import json

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.forgetting.l2sp import L2SP
from tests import networks


def network(**options):
    """Three groups of a dense layer, one with all that is drawn or adapts."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", **options),
            keras.layers.Dense(8, activation="relu", **options),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, "softmax"),
        ]
    )


def data(count=24):
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 6)).astype("float32")
    return x, (x.sum(axis=1) > 0) + (x[:, 0] > 1).astype(int)


def compile(model, optimizer="adam", **options):
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return model


def fit(model, epochs=2, **options):
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    return model.fit(*data(), epochs=epochs, **settings)


def half_squares(variables, starts=None):
    starts = [0.0] * len(variables) if starts is None else starts
    return (
        sum(
            np.square(
                keras.ops.convert_to_numpy(v).astype("float64") - start
            ).sum()
            for v, start in zip(variables, starts, strict=True)
        )
        / 2
    )


def assert_same(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_linear_regression_is_ridge_regression_towards_the_start():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 4)), random.normal(size=(20, 1))
    start = random.normal(size=(4, 1))
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(1, use_bias=False)]
    )
    model.set_weights([start])
    anchor = L2SP(model, 1.5)
    model.compile(keras.optimizers.SGD(0.3), "mse")
    model.fit(x, y, batch_size=20, epochs=40, verbose=0)
    expected = np.linalg.solve(
        2 / 20 * x.T @ x + 1.5 * np.eye(4), 2 / 20 * x.T @ y + 1.5 * start
    )
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4)
    distance = 1.5 / 2 * np.square(expected - start).sum()
    assert anchor.penalty() == pytest.approx(distance, rel=1e-4)


def test_each_part_has_its_strength_and_statistics_none():
    model = networks.build("cnn")
    learned = [v for v in model.weights if "moving_" not in v.name]
    below, head = learned[:-2], learned[-2:]
    before = networks.values(below)
    anchor = L2SP(model, 0.3, head_strength=0.2)
    assert {id(v) for v in anchor.variables} == {id(v) for v in below}
    for variable in model.weights:
        if "seed" not in variable.name:
            variable.assign(variable + 0.1)
    expected = 0.3 * half_squares(below, before) + 0.2 * half_squares(head)
    assert anchor.penalty() == pytest.approx(expected, rel=1e-5)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    anchor.strength, anchor.head_strength = 0.6, 0
    expected = 0.6 * half_squares(below, before)
    assert anchor.penalty() == pytest.approx(expected, rel=1e-5)


def test_a_pretrained_head_is_held_like_the_rest():
    model = networks.build("mlp")
    before = model.get_weights()
    anchor = L2SP(model, 0.5, head_strength=None)
    assert anchor.penalty() == 0
    assert anchor.head_strength is None
    model.set_weights([value + 1 for value in before])
    count = sum(value.size for value in before)
    assert anchor.penalty() == pytest.approx(0.5 / 2 * count)
    with pytest.raises(ValueError, match="Received: head_strength=1"):
        anchor.head_strength = 1


def test_the_penalty_is_nothing_at_the_start():
    model = compile(network())
    loss = model.evaluate(*data(), verbose=0)
    anchor = L2SP(model, 100.0, head_strength=None)
    assert anchor.penalty() == 0
    assert [float(loss) for loss in model.losses] == [0.0] * len(model.losses)
    assert model.losses
    assert model.evaluate(*data(), verbose=0) == loss


def test_compiled_functions_are_made_anew_and_see_a_new_strength():
    model = compile(network(), keras.optimizers.SGD(0.0))
    fit(model)
    anchor = L2SP(model, 0.0, head_strength=0.0)
    without = fit(model, 1).history["loss"][0]
    model.layers[0].kernel.assign_add(keras.ops.ones((6, 8)))
    anchor.strength = 10.0
    held = fit(model, 1).history["loss"][0]
    assert held > without + 10.0 / 2 * 48 - 30
    evaluated = model.evaluate(*data(), verbose=0)
    anchor.remove()
    fell = evaluated - model.evaluate(*data(), verbose=0)
    assert fell == pytest.approx(240, rel=1e-4)


def test_after_removal_training_is_that_of_a_model_never_anchored():
    models = []
    for anchored in (False, True):
        model = compile(network(kernel_regularizer="l2"))
        keras.utils.set_random_seed(1)
        fit(model)
        if anchored:
            L2SP(model, 5.0).remove()
        fit(model)
        models.append(model)
    assert_same(*models)


def test_earlier_regularizers_go_on_to_count_and_come_back():
    model = network(kernel_regularizer="l2")
    regularizers = [v.regularizer for v in model.weights]
    own = float(sum(model.losses))
    assert own > 0
    first = L2SP(model, 1.0, head_strength=0.0)
    assert float(sum(model.losses)) == pytest.approx(own)
    kernel = model.layers[0].kernel
    kernel.assign_add(keras.ops.ones((6, 8)))
    moved = float(kernel.regularizer(kernel)) - first.penalty()
    assert moved == pytest.approx(float(regularizers[0](kernel)), rel=1e-5)
    second = L2SP(model, 3.0, head_strength=0.0)
    assert second.penalty() == 0
    first.remove()
    kernel.assign_add(keras.ops.ones((6, 8)))
    assert first.penalty() == 0
    assert second.penalty() == pytest.approx(3 / 2 * 48)
    second.remove()
    second.remove()
    assert regularizers == [v.regularizer for v in model.weights]


def test_what_was_compiled_elsewhere_has_no_penalty_after_removal():
    """Two models share their layers; the anchor knows one of them."""
    model = network()
    other = keras.Sequential(model.layers)
    anchor = L2SP(model, 1.0)
    compile(other, keras.optimizers.SGD(0.0))
    model.layers[0].kernel.assign_add(keras.ops.ones((6, 8)))
    held = other.evaluate(*data(), verbose=0)
    anchor.remove()
    assert other.evaluate(*data(), verbose=0) < held - 20


def test_files_hold_neither_anchor_nor_penalty(tmp_path):
    model = compile(network(kernel_regularizer="l2"))
    config, paths = model.to_json(), [v.path for v in model.variables]
    count = len(model.non_trainable_variables)
    own = float(sum(model.losses))
    L2SP(model, 1.0)
    fit(model)
    assert json.loads(model.to_json())["config"] == json.loads(config)["config"]
    names = [v.path for v in model.variables if "optimizer" not in v.path]
    assert names == paths
    assert len(model.non_trainable_variables) == count
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same(model, loaded)
    assert len(loaded.losses) == 2  # those of its layers
    np.testing.assert_array_equal(
        model.predict(data()[0], verbose=0),
        loaded.predict(data()[0], verbose=0),
    )
    model.export(tmp_path / "exported", verbose=False)
    assert len(keras.models.clone_model(model).losses) == 2
    assert own != float(sum(model.losses))


def test_frozen_groups_count_nothing_while_they_are():
    """In each phase of one `fit`, against the sum over what trains."""
    model = compile(network(), keras.optimizers.SGD(0.0))
    anchor = L2SP(model, 2.0, head_strength=0.0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.bias.assign(layer.bias + 1)
    phases = [kt.Phase(t, 1, 1e-9) for t in ("head", "top:1", "all")]
    seen = []
    noting = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(anchor.penalty())
    )
    unfreezing = kt.GradualUnfreezing(phases)
    history = fit(
        model, 3, validation_data=data(), callbacks=[unfreezing, noting]
    ).history["val_loss"]
    assert seen == pytest.approx([0, 8, 16], rel=1e-4)
    assert np.diff(history) == pytest.approx([8, 8], rel=1e-4)


def test_fine_tune_with_phases_and_cache_is_that_without():
    """A head that only a penalty would make small, on weights that move."""
    weights = []
    for cache in (False, True):
        keras.utils.set_random_seed(0)
        model = kt.build_classifier(networks.tiny_backbone(), 3)
        head = kt.layer_groups(model)[-1].variables
        size = half_squares(head)
        anchor = L2SP(model, 0.5, head_strength=2.0)
        _fine_tune(model, cache)
        assert half_squares(head) < size / 5
        assert anchor.penalty() > 2.0 * half_squares(head)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def _fine_tune(model, cache):
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (24, 8, 8, 3)).astype("float32")
    y = random.integers(0, 3, 24)
    phases = [
        kt.Phase("head", 2, 0.1),
        kt.Phase("top:2", 2, 0.1),
        kt.Phase("all", 1, 0.1),
    ]
    kt.fine_tune(
        model,
        (x, y),
        strategy=phases,
        cache=cache,
        optimizer=keras.optimizers.SGD(0.1),
        log_dir=False,
        baselines=False,
        seed=0,
        verbose=0,
    )


def test_half_precision_loss_scaling_and_clipping():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = keras.optimizers.Adam(0.01, global_clipnorm=1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    compile(model, optimizer)
    anchor = L2SP(model, 0.1)
    before = model.get_weights()
    history = fit(model, 3).history["loss"]
    assert np.isfinite(history).all()
    assert 0 < anchor.penalty() < np.inf
    assert all(loss.dtype == "float32" for loss in model.losses)
    assert any(
        (a != b).any() for a, b in zip(before, model.get_weights(), strict=True)
    )


@pytest.mark.parametrize("strength", [-1, np.nan, np.inf, "0.1", None, True])
def test_strengths_that_are_none_are_refused(strength):
    model = networks.build("mlp")
    with pytest.raises(ValueError, match="Received: strength="):
        L2SP(model, strength)
    if strength is not None:
        with pytest.raises(ValueError, match="Received: head_strength="):
            L2SP(model, head_strength=strength)
    anchor = L2SP(model)
    with pytest.raises(ValueError, match="Received: strength="):
        anchor.strength = strength
    anchor.remove()
    assert not any(v.regularizer for v in model.weights)


def test_models_that_are_none_are_refused():
    with pytest.raises(ValueError, match="Received: model='mlp'"):
        L2SP("mlp")
    with pytest.raises(ValueError, match="no weights.*Received: model="):
        L2SP(keras.Sequential([keras.layers.Dense(3)]))
