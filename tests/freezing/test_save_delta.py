"""What differs from the base is in the file, bit by bit, and no more."""

import json
import os

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.freezing.add_lora import add_lora
from keras_transfer.freezing.load_delta import load_delta
from keras_transfer.freezing.save_delta import save_delta
from tests import networks
from tests.freezing.test_add_lora import factor_paths, head_of, shake


def classifier(seed=0, names=("a", "b", "c")):
    """The same pretrained backbone, and another head for each seed."""
    keras.utils.set_random_seed(0)
    backbone = networks.tiny_backbone()
    networks.randomize(backbone.model)
    keras.utils.set_random_seed(seed)
    return kt.build_classifier(backbone, names)


def fresh_backbone():
    keras.utils.set_random_seed(0)
    backbone = networks.tiny_backbone()
    networks.randomize(backbone.model)
    return backbone


def pictures():
    return np.random.default_rng(0).uniform(0, 255, (6, 8, 8, 3))


def nudge(variables):
    """Change the last bit of one number of each."""
    for variable in variables:
        value = keras.ops.convert_to_numpy(variable).copy()
        value.flat[-1] = np.nextafter(value.flat[-1], np.float32(9))
        variable.assign(value)


BASES = {
    "weights of before": lambda model: classifier().get_weights(),
    "the model anew": lambda model: classifier(),
    "the backbone anew": lambda model: fresh_backbone(),
}


@pytest.mark.parametrize("base", BASES)
def test_adapters_head_and_statistics(base, tmp_path):
    model = classifier()
    add_lora(model, "top:1", 2)
    shake(model)
    norm = model.get_layer("backbone").get_layer("block2_bn")
    nudge([norm.moving_mean, norm.gamma, *model.layers[-1].weights])
    path = tmp_path / "delta.npz"
    delta = save_delta(model, path, BASES[base](model))
    expected = factor_paths(model) | head_of(model)
    assert set(delta.weights) == expected | {
        norm.moving_mean.path,
        norm.gamma.path,
    }
    assert delta.bytes == os.path.getsize(path)
    assert delta.full_bytes == sum(a.nbytes for a in model.get_weights())
    assert str(delta).startswith(f"{path}: 6 weights in {delta.bytes:,} bytes")

    other = classifier(seed=1, names=3)
    load_delta(other, path)
    for a, b in zip(model.weights, other.weights, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()
    x = pictures()
    np.testing.assert_array_equal(
        other.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    assert list(other.class_names) == ["a", "b", "c"]


def test_weights_with_adapters_are_a_base_too(tmp_path):
    model = classifier()
    add_lora(model, "top:1", 2)
    before = model.get_weights()
    # Factors are always there: no base could be asked for them.
    delta = save_delta(model, tmp_path / "delta.npz", before)
    assert set(delta.weights) == factor_paths(model)


def test_a_plain_file_of_numpy(tmp_path):
    model = classifier()
    nudge(model.layers[-1].weights)
    save_delta(model, tmp_path / "delta", classifier())
    assert os.listdir(tmp_path) == ["delta"]
    with np.load(tmp_path / "delta", allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes())
        assert len(header["stored"]) == 2 == len(file.files) - 1
        n = header["stored"][1]
        bias = file[str(n)].view("float32")
    np.testing.assert_array_equal(bias, model.layers[-1].bias)


def test_bits_that_compare_equal_and_numbers_that_do_not(tmp_path):
    dense = layers.Dense(3, dtype="bfloat16")
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2), dense])
    first = model.layers[0]
    first.kernel.assign([[np.nan, 0.0], [1.0, 2.0]])
    first.bias.assign([1.0, 0.0])
    before = model.get_weights()
    first.bias.assign([1.0, -0.0])
    dense.bias.assign([1.0, np.nan, np.inf])
    delta = save_delta(model, tmp_path / "delta", before)
    # The NaN of the kernel is that of the base, and -0 is not 0.
    assert set(delta.weights) == {first.bias.path, dense.bias.path}
    other = keras.models.clone_model(model)
    other.set_weights(before)
    load_delta(other, tmp_path / "delta")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes())


def test_another_head_than_the_base_has(tmp_path):
    """As if the base was the network with its own classes."""
    model = networks.build("mlp")
    base = networks.build("mlp")
    base.set_weights(model.get_weights())
    base.pop()
    base.add(layers.Dense(7))
    delta = save_delta(model, tmp_path / "delta", base)
    assert set(delta.weights) == head_of(model)


def test_bases_that_are_none(tmp_path):
    model = classifier()
    shared = kt.load_backbone(model.get_layer("backbone"))
    weights = model.get_weights()
    for base, message in [
        (model, "shares its variables"),
        (shared, "shares its variables"),
        (weights, "No weight of the model differs.*Received: base=a list"),
        (classifier(), "No weight of the model differs"),
        (weights[:-1], "made from.*Received: base=a list of 19$"),
        (networks.build("mlp"), "made from.*base=mlp with 6 weights$"),
        (None, "made from.*Received: base=None$"),
    ]:
        with pytest.raises(ValueError, match=f"{message}"):
            save_delta(model, tmp_path / "delta", base)
    assert not os.listdir(tmp_path)
