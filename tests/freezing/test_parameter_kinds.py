"""Gamma and beta alone, or biases alone, train below the head."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from tests import networks
from tests.backbones import saved_models
from tests.freezing.test_trainable import (
    affine,
    fit_and_compare,
    paths,
    statistics,
)


def biases(model):
    return [weight for weight in model.weights if weight.name == "bias"]


def head_of(model):
    return paths(kt.layer_groups(model)[-1].variables)


@pytest.mark.parametrize("batch_norm", ["frozen", "statistics", "train"])
def test_batch_norm_alone(batch_norm):
    model = networks.build("nested")
    kt.set_trainable(
        model, "all", parameters="batch_norm", batch_norm=batch_norm
    )
    expected = paths(affine(model)) | head_of(model)
    assert paths(model.trainable_weights) == expected
    count = sum(np.prod(w.shape) for w in model.trainable_weights)
    # Four norms of four channels, and a head of 4 x 3 + 3.
    assert count == 4 * 2 * 4 + 15
    if batch_norm != "frozen":
        expected |= paths(statistics(model))
    assert fit_and_compare(model, epochs=2) == expected


def test_frozen_statistics_are_what_it_trains_with():
    """The loss of a step is that of the model as it predicts."""
    model = networks.build("cnn")
    for layer in model.layers:
        if isinstance(layer, layers.SpatialDropout2D | layers.Dropout):
            layer.rate = 0.0
    kt.set_trainable(model, "all", parameters="batch_norm")
    x = networks.batch_for(model)
    y = np.zeros((6, 3))
    expected = np.square(model.predict(x, verbose=0)).mean()
    model.compile("sgd", "mse")
    loss = model.fit(x, y, verbose=0).history["loss"][0]
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["nested", "transformer"])
def test_biases_alone(name):
    model = networks.build(name)
    kt.set_trainable(model, "all", parameters="bias")
    betas = {w.path for w in model.weights if w.name == "beta"}
    expected = paths(biases(model)) | betas | head_of(model)
    assert betas and paths(model.trainable_weights) == expected
    # The bias of a key adds the same to each score, which softmax ignores.
    idle = {path for path in expected if path.endswith("key/bias")}
    moved = fit_and_compare(model, epochs=2)
    assert expected - idle <= moved <= expected


def test_layer_normalization_counts():
    model = networks.build("transformer")
    kt.set_trainable(model, "top:2", parameters="batch_norm")
    groups = {group.name: group for group in kt.layer_groups(model)}
    expected = {
        variable.path
        for name in list(groups)[-3:-1]
        for variable in groups[name].variables
        if variable.name in ("gamma", "beta")
    }
    assert expected
    assert paths(model.trainable_weights) == expected | head_of(model)


def test_the_summary_tells_what_trains():
    model = networks.build("cnn")

    def states(**options):
        kt.set_trainable(model, "top:1", **options)
        lines = kt.trainable_summary(model).splitlines()
        return [line.split("   ")[-1].strip() for line in lines[4:6]]

    assert states(parameters="batch_norm") == [
        "trains gamma and beta, BatchNorm statistics frozen",
        "trains",
    ]
    assert states(parameters="batch_norm", batch_norm="statistics") == [
        "trains gamma and beta, BatchNorm too",
        "trains",
    ]
    assert states(parameters="bias") == [
        "trains biases and beta, BatchNorm statistics frozen",
        "trains",
    ]
    last = kt.trainable_summary(model).splitlines()[-1]
    # Two biases and a beta of four, and the head.
    assert last.startswith("trainable: 27 ||")


def test_it_survives_a_file_and_choices_one_after_another(tmp_path):
    model = networks.build("nested")
    kt.set_trainable(model, "all", parameters="batch_norm")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [w.trainable for w in loaded.weights] == [
        w.trainable for w in model.weights
    ]
    moved = fit_and_compare(loaded)
    assert moved and not moved & paths(statistics(loaded))
    for part in (model, fresh := networks.build("nested")):
        kt.set_trainable(part, "all", batch_norm="train")
    assert [w.trainable for w in model.weights] == [
        w.trainable for w in fresh.weights
    ]


def test_phases():
    phase = kt.Phase("all", 2, 0.01, parameters="bias")
    assert phase.name == "all, bias"
    model, seen = networks.build("cnn"), []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: seen.append(paths(model.trainable_weights))
    )
    model.compile("adam", "mse")
    unfreezing = kt.GradualUnfreezing([kt.Phase("head", 1, 0.01), phase])
    x = networks.batch_for(model)
    before = networks.values(model.weights)
    callbacks = [unfreezing, watch]
    model.fit(x, np.ones((6, 3)), epochs=3, callbacks=callbacks, verbose=0)
    betas = {w.path for w in affine(model) if w.name == "beta"}
    expected = paths(biases(model)) | betas | head_of(model)
    assert seen == [head_of(model), expected, expected]
    assert networks.moved(model.weights, before) == expected


def test_a_hub_layer(tmp_path):
    layer = kt.HubLayer(saved_models.save_conv_net(tmp_path / "net"))
    model = keras.Sequential([keras.Input((8, 8, 3)), layer, layers.Dense(2)])
    kt.set_trainable(model, "all", parameters="batch_norm")
    [gamma] = [w for name, w in layer.named_variables if "gamma" in name]
    assert paths(model.trainable_weights) == {gamma.path} | head_of(model)
    assert layer.batch_norm == "frozen"


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("cnn", "norm", "'bias'.*parameters='norm'"),
        ("mlp", "batch_norm", "no normalization.*parameters='batch_norm'"),
        ("without", "bias", "no biases.*parameters='bias'"),
    ],
)
def test_what_is_refused(name, parameters, message):
    if name == "without":
        dense = [layers.Dense(4, use_bias=False) for _ in range(2)]
        model = keras.Sequential([keras.Input((3,)), *dense, layers.Dense(2)])
    else:
        model = networks.build(name)
    before = [w.trainable for w in model.weights]
    with pytest.raises(ValueError, match=f"{message}$"):
        kt.set_trainable(model, "all", parameters=parameters)
    assert [w.trainable for w in model.weights] == before
    if name != "cnn":
        kt.set_trainable(model, "head", parameters=parameters)
    else:
        with pytest.raises(ValueError, match="parameters='norm'$"):
            kt.Phase("all", 1, 0, parameters="norm")
