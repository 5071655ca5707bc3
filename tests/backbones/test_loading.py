"""One function for every source, and what it says if there is none."""

import pathlib

import keras
import numpy as np
import pytest

import keras_transfer as kt
from tests import networks
from tests.backbones import saved_models


def test_names():
    names = kt.list_backbones()
    assert names[0] == "bundled:efficientnet_lite0"
    assert "MobileNetV2" in names and len(names) == 41


def test_a_folder_of_tf_hub(tmp_path):
    folder = saved_models.save_conv_net(tmp_path / "net")
    for source in (folder, pathlib.Path(folder)):
        backbone = kt.load_backbone(source, input_shape=(8, 8, 3))
        x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3))
        expected = kt.HubLayer(folder)((x / 255).astype("float32"))
        result = backbone.model(backbone.preprocess(x))
        np.testing.assert_allclose(result, expected, rtol=1e-5)
        assert [group.name for group in backbone.groups] == [
            "stem",
            "block_1",
            "block_2",
        ]


def test_the_bundled_network():
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", weights=None, input_shape=(33, 33, 3)
    )
    assert backbone.feature_dim == 1280
    np.testing.assert_allclose(
        backbone.preprocess(np.array([[[[0, 127, 255]]]])),
        [[[[-127 / 128, 0, 1]]]],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "source",
    ["MobilNetV2", "mobilenetv2", "", "bundled:lite1", None, 3, keras.Model],
)
def test_an_unknown_source(source):
    with pytest.raises(ValueError) as caught:
        kt.load_backbone(source)
    assert "MobileNetV2" in str(caught.value)
    assert "bundled:efficientnet_lite0" in str(caught.value)
    assert str(caught.value).endswith(f"Received: source={source!r}")


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        kt.load_backbone(str(tmp_path))


def test_weights_for_a_source_that_brings_its_own(tmp_path):
    for source in (networks.build("mlp"), str(tmp_path)):
        with pytest.raises(ValueError, match="Received: weights=None"):
            kt.load_backbone(source, weights=None)


@pytest.mark.parametrize("input_shape", [160, "160", 3.0])
def test_an_input_shape_that_is_none(input_shape):
    with pytest.raises(ValueError, match="Received: input_shape="):
        kt.load_backbone("VGG16", weights=None, input_shape=input_shape)


def test_an_input_shape_that_keras_does_not_allow():
    with pytest.raises(ValueError, match="Input size must be at least 32x32"):
        kt.load_backbone("MobileNetV2", weights=None, input_shape=(8, 8, 3))
