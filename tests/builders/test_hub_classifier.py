"""A classifier on a TF Hub module, frozen and trained by group."""

import shutil

import keras
import numpy as np
import pytest

import keras_transfer as kt
from tests.backbones.saved_models import save_conv_net, save_signature_only


@pytest.fixture
def handle(tmp_path):
    return save_conv_net(tmp_path / "module")


def images(count=8):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), "uint8")


def build(handle):
    backbone = kt.load_backbone(handle, input_shape=(8, 8, 3))
    return backbone, kt.build_classifier(backbone, 2)


def fit(model, rate=0.1):
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    model.fit(images(), np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)


def moved(model, rate=0.1):
    before = [weight.numpy() for weight in model.weights]
    fit(model, rate)
    return [
        weight.path
        for weight, old in zip(model.weights, before, strict=True)
        if not np.array_equal(weight.numpy(), old)
    ]


def test_images_enter_as_the_module_expects(handle):
    backbone, model = build(handle)
    features = keras.Model(model.input, model.get_layer("head_dropout").output)
    expected = kt.HubLayer(handle)(images().astype("float32") / 255)
    np.testing.assert_allclose(
        features(images(), training=False), expected, rtol=1e-6, atol=1e-6
    )
    own = keras.layers.Rescaling(1 / 127.5, offset=-1)
    other = kt.load_backbone(handle, input_shape=(8, 8, 3), preprocess=own)
    assert other.preprocess is own and backbone.preprocess is not own


def test_groups_train_as_they_are_told(handle):
    _, model = build(handle)
    groups = {group.name: group for group in kt.layer_groups(model)}
    assert list(groups) == ["stem", "block_1", "block_2", "head"]
    head = {v.path for v in groups["head"].variables}
    assert set(moved(model)) == head
    kt.set_trainable(model, "top:1")
    top = {v.path for v in groups["block_2"].variables}
    assert set(moved(model)) == head | top


def test_batch_norm_stays_frozen_unless_asked(handle):
    _, model = build(handle)
    layer = model.get_layer("backbone").layers[-1]
    names = {id(v): name for name, v in layer.named_variables}
    norm = [v for v in layer.weights if "/bn/" in names[id(v)]]
    assert norm, sorted(names.values())
    kt.set_trainable(model, "all")
    before = [v.numpy() for v in norm]
    fit(model)
    for old, variable in zip(before, norm, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    kt.set_trainable(model, "all", batch_norm="train")
    fit(model)
    assert any(
        not np.array_equal(old, variable.numpy())
        for old, variable in zip(before, norm, strict=True)
    )


def test_nothing_moves_at_learning_rate_0(handle):
    _, model = build(handle)
    kt.set_trainable(model, "all")
    before = model.predict(images(), verbose=0)
    assert moved(model, rate=0.0) == []
    np.testing.assert_array_equal(before, model.predict(images(), verbose=0))


def test_it_reloads_without_its_handle(handle, tmp_path):
    _, model = build(handle)
    kt.set_trainable(model, "top:1")
    fit(model)
    model.save(tmp_path / "model.keras")
    shutil.rmtree(handle)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert kt.trainable_summary(loaded) == kt.trainable_summary(model)
    np.testing.assert_allclose(
        loaded.predict(images(), verbose=0),
        model.predict(images(), verbose=0),
        rtol=1e-6,
    )


def test_too_deep_a_choice_lists_the_groups(handle):
    _, model = build(handle)
    with pytest.raises(ValueError, match="stem, block_1, block_2, head"):
        kt.set_trainable(model, "top:4")


def test_an_inference_only_module_is_refused_before_anything_changes(tmp_path):
    handle = save_signature_only(tmp_path / "module")
    layer = kt.HubLayer(handle)
    inputs = keras.Input((3,))
    model = kt.build_classifier(
        kt.load_backbone(keras.Model(inputs, layer(inputs))), 2
    )
    before = kt.trainable_summary(model)
    with pytest.raises(ValueError, match="cannot be trained"):
        kt.set_trainable(model, "all")
    assert kt.trainable_summary(model) == before
