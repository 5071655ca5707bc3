"""The two halves of a network compute what the network computes."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from tests import networks

# Families whose every cut is tried; of the others three.
_EVERY_CUT = ("MobileNetV2", "VGG16")
# Tensors that cross a cut: NASNet's cells pass on two.
_TWO_TENSORS = ("NASNetMobile",)


def cut_names(model, every):
    names = [group.name for group in kt.layer_groups(model)][:-1]
    return names if every else [names[0], names[len(names) // 2], names[-1]]


def assert_split(model, x, after):
    """Compare bits: the same operations run on the same numbers."""
    expected = keras.tree.flatten(model(x, training=False))
    prefix, rest = kt.split_model(model, after)
    names = [group.name for group in kt.layer_groups(model)]
    later = kt.layer_groups(model)[names.index(after) + 1 :]
    late = {id(v) for group in later for v in group.variables}
    assert not late & {id(v) for v in prefix.weights}
    cut = keras.tree.map_structure(np.array, prefix(x, training=False))
    outputs = keras.tree.flatten(rest(cut, training=False))
    for output, wanted in zip(outputs, expected, strict=True):
        assert np.array_equal(output, wanted)
        assert np.std(wanted) > 1e-4
    return prefix


@pytest.mark.parametrize("name", networks.FAMILIES)
def test_a_family_of_keras_applications(name):
    model = networks.application(name)
    x = networks.batch_for(model, 2)
    for after in cut_names(model, name in _EVERY_CUT):
        prefix = assert_split(model, x, after)
        assert len(prefix.outputs) <= (2 if name in _TWO_TENSORS else 1)


@pytest.mark.parametrize(
    "name",
    [
        "mlp",
        "cnn",
        "text_rnn",
        "transformer",
        "unet",
        "two_towers",
        "two_outputs",
        "tied",
        "blocks",
        "Functional",
    ],
)
def test_every_cut_of_a_network_of_ones_own(name):
    model = networks.build(name)
    x = networks.batch_for(model)
    for after in cut_names(model, every=True):
        assert_split(model, x, after)


def test_the_parts_share_the_models_weights_and_hold_them_all():
    model = networks.build("cnn")
    prefix, rest = kt.split_model(model, "block_1")
    groups = kt.layer_groups(model)
    first = [v.path for group in groups[:2] for v in group.variables]
    last = [v.path for group in groups[2:] for v in group.variables]
    assert [v.path for v in prefix.weights] == first
    assert sorted(v.path for v in rest.weights) == sorted(last)
    assert {id(v) for v in prefix.weights + rest.weights} == {
        id(v) for v in model.weights
    }


def test_an_output_that_leaves_before_the_cut():
    inputs = keras.Input((6,))
    x = layers.Dense(5, name="one")(inputs)
    early = layers.ReLU(name="early")(x)
    x = layers.Dense(5, name="two")(layers.Dense(5, name="deep")(x))
    model = keras.Model(inputs, [early, layers.Dense(3, name="three")(x)])
    for after in cut_names(model, every=True):
        assert_split(model, networks.batch_for(model), after)


@pytest.mark.parametrize("after", ["head", "block_9", "Stem"])
def test_no_such_cut(after):
    with pytest.raises(ValueError, match=r"'stem', 'block_1'.*Received: after"):
        kt.split_model(networks.build("mlp"), after)


@pytest.mark.parametrize(
    "name", ["nested", "nested_twice", "subclassed", "OwnCall"]
)
def test_a_model_that_cannot_be_cut(name):
    with pytest.raises(ValueError, match=r"cannot be cut.*Received: model="):
        kt.split_model(networks.build(name), "block_1")
