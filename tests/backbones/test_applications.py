"""Backbones of keras.applications, held against Keras's own functions."""

import inspect
import sys
import urllib.error

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.backbones.applications import (
    application_names,
    find_convention,
    load_application,
)
from keras_transfer.backbones.preprocessing import make_preprocessing
from tests import networks

NAMES = application_names()
# What the functions call their models, where it is more than the name.
MODEL_NAMES = {
    "ConvNeXtXLarge": "convnext_xlarge",
    "EfficientNetV2B0": "efficientnetv2-b0",
    "InceptionResNetV2": "inception_resnet_v2",
    "MobileNet": "mobilenet_1.00_224",
    "MobileNetV2": "mobilenetv2_0.35_96",
    "NASNetMobile": "nasnet_mobile",
}


def images(dtype="float32"):
    return np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3)).astype(dtype)


def module_of(name):
    return sys.modules[
        inspect.unwrap(getattr(keras.applications, name)).__module__
    ]


def test_all_names():
    assert len(NAMES) == 40
    assert {"ResNet50", "NASNetLarge", "ConvNeXtXLarge"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_convention_is_keras_own(name):
    expected = module_of(name).preprocess_input(images())
    for called in (name, name.lower(), MODEL_NAMES.get(name, name)):
        known, convention = find_convention(called)
        result = make_preprocessing(convention)(images())
        assert known
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["MobileNet", "MobileNetV2", "ResNet50V2", "EfficientNetB0"]
)
def test_the_convention_of_a_model(name):
    found = find_convention(networks.application(name).name)
    assert found == find_convention(name) == (True, found[1])


@pytest.mark.parametrize(
    "name",
    [
        "resnet50_classifier",
        "mobilenetv2_1.00_224_classifier",
        "res_net_backbone",
        "my_vgg16",
        "mobilenet_trained_on_photos",
        "functional_1",
    ],
)
def test_other_names_have_no_convention(name):
    assert find_convention(name) == (False, None)


@pytest.mark.parametrize("convention", ["tf", "caffe", "torch", "lite", None])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
def test_preprocessing_takes_any_dtype(convention, dtype):
    layer = make_preprocessing(convention)
    result = np.array(layer(images(dtype)), "float32")
    np.testing.assert_array_equal(result, layer(images()))


@pytest.mark.parametrize("convention", ["tf", "caffe", "torch"])
def test_preprocessing_is_precise_under_mixed_precision(convention):
    expected = make_preprocessing(convention)(images())
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = make_preprocessing(convention)(images())
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(result, expected)


def test_preprocessing_is_saved(tmp_path):
    for convention in ("tf", "caffe", "torch"):
        layer = make_preprocessing(convention)
        model = keras.Sequential([keras.Input((5, 5, 3)), layer])
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(images()), layer(images()))


def test_preprocessing_is_bound_inside_the_classifier():
    backbone = kt.load_backbone("VGG16", weights=None, input_shape=(32, 32, 3))
    model = kt.build_classifier(backbone, 2)
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    wanted = keras.applications.vgg16.preprocess_input(x.copy())
    features = keras.ops.mean(backbone.model(wanted), axis=(1, 2))
    expected = model.get_layer("predictions")(features)
    np.testing.assert_allclose(model(x), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    # MobileNetV3 has its default, 224, somewhere else.
    [name for name in NAMES if not name.startswith("MobileNetV3")],
)
def test_the_size_it_was_trained_at(name, monkeypatch):
    noted = []

    def note(input_shape, default_size=None, **kwargs):
        noted.append(default_size or input_shape)
        raise NotImplementedError

    helper = "keras.src.applications.imagenet_utils.obtain_input_shape"
    monkeypatch.setattr(helper, note)
    with pytest.raises(NotImplementedError):
        getattr(keras.applications, name)(weights=None)
    monkeypatch.setattr(
        keras.applications, name, lambda **kwargs: note(kwargs["input_shape"])
    )
    with pytest.raises(NotImplementedError):
        load_application(name, None, None)
    assert noted == [noted[0], (noted[0], noted[0], 3)]


def test_what_a_backbone_tells():
    backbone = kt.load_backbone(
        "MobileNetV2", weights=None, input_shape=[64, 96, 3]
    )
    assert backbone.input_shape == (64, 96, 3)
    assert backbone.model.output_shape == (None, 2, 3, 1280)
    assert backbone.feature_dim == 1280
    assert backbone.input_dtype == "float32"
    assert backbone.modality == "image"
    assert backbone.source == "MobileNetV2"
    assert backbone.name.startswith("mobilenetv2")
    assert [group.name for group in backbone.groups] == [
        "stem",
        *(f"block_{n}" for n in range(1, 17)),
    ]


def test_any_input_size():
    backbone = kt.load_backbone(
        "MobileNetV2", weights=None, input_shape=(None, None, 3)
    )
    model = kt.build_classifier(backbone, 2)
    for side in (32, 65):
        assert model(np.zeros((1, side, side, 3))).shape == (1, 2)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_weights_from_a_file(tmp_path, suffix):
    shape = (32, 32, 3)
    trained = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=shape
    )
    networks.randomize(trained)
    path = tmp_path / f"mine{suffix}"
    (trained.save_weights if "weights" in suffix else trained.save)(path)
    backbone = kt.load_backbone("MobileNetV2", weights=path, input_shape=shape)
    for value, weight in zip(
        networks.values(trained.weights), backbone.model.weights, strict=True
    ):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("weights", ["ImageNet", "missing.h5", True, 3, b"x"])
def test_weights_that_are_no_file(weights):
    with pytest.raises(ValueError, match=r"no such file.*Received: weights="):
        kt.load_backbone("MobileNetV2", weights=weights)


def test_imagenet_without_a_connection(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    monkeypatch.setattr(
        "keras.src.backend.config.keras_home", lambda: str(tmp_path)
    )
    with pytest.raises(OSError, match="could not be downloaded") as caught:
        kt.load_backbone("VGG16")
    assert "Name or service not known" in str(caught.value)
    assert "bundled:efficientnet_lite0" in str(caught.value)
    assert str(caught.value).endswith(
        "Received: source='VGG16', weights='imagenet'"
    )
