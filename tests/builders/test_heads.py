"""What is put on top of features, for each kind of features and head."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_transfer.builders.heads import add_head, count_classes

OPTIONS = {
    "head": None,
    "dropout": 0.2,
    "pooling": "avg",
    "multi_label": False,
}


def build(shape, units=3, **options):
    features = keras.Input(shape)
    outputs = add_head(features, units, **{**OPTIONS, **options})
    return keras.Model(features, outputs)


def names(model):
    return [layer.name for layer in model.layers[1:]]


@pytest.mark.parametrize("shape", [(4, 4, 6), (5, 6), (6,)])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_features_of_any_rank(shape, pooling):
    model = build(shape, pooling=pooling)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    axes = tuple(range(1, x.ndim - 1))
    pooled = (np.mean if pooling == "avg" else np.max)(x, axis=axes)
    expected = model.get_layer("predictions")(pooled if axes else x)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
    assert names(model)[-2:] == ["head_dropout", "predictions"]


@pytest.mark.parametrize(
    ("units", "multi_label", "activation"),
    [
        (1, False, "sigmoid"),
        (2, False, "softmax"),
        (3, True, "sigmoid"),
    ],
)
def test_the_activation(units, multi_label, activation):
    model = build((6,), units, multi_label=multi_label)
    assert model.layers[-1].activation is keras.activations.get(activation)
    assert model.output_shape == (None, units)


def test_without_dropout():
    assert names(build((6,), dropout=0.0)) == ["predictions"]


@pytest.mark.parametrize("kind", ["layer", "list", "model"])
def test_layers_of_ones_own_take_the_place_of_dropout(kind):
    dense = layers.Dense(8, name="mine")
    head = {
        "layer": dense,
        "list": [dense, layers.ReLU()],
        "model": keras.Sequential([dense]),
    }[kind]
    model = build((4, 4, 6), head=head)
    assert "head_dropout" not in names(model)
    assert dense in model._flatten_layers()
    assert names(model)[-1] == "predictions"


def test_a_whole_head():
    mine = layers.Dense(3, activation="softmax", name="mine")
    assert names(build((6,), head=mine)) == ["mine"]


def test_a_head_that_pools_itself():
    head = [layers.Flatten(), layers.Dense(5)]
    assert build((2, 2, 6), head=head, pooling=None).output_shape == (None, 3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("units", [3, 5])
def test_outputs_are_float32_under_mixed_precision(policy, units):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        models = [
            build((4, 4, 6), units),
            build((4, 4, 6), units, head=layers.Dense(5)),
        ]
    finally:
        keras.config.set_dtype_policy(before)
    for model in models:
        assert model.output.dtype == "float32"
        assert model(np.ones((1, 4, 4, 6))).dtype == "float32"


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"pooling": "mean"}, "pooling='mean'"),
        ({"pooling": None}, "shape=.None, 4, 4, 6."),
        ({"head": "dense"}, "head='dense'"),
        ({"head": layers.Reshape((3, 2))}, "shape=.None, 3, 2."),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"dropout": -0.1}, "dropout=-0.1"),
    ],
)
def test_wrong_arguments(options, received):
    with pytest.raises(ValueError, match=f"Received: {received}$"):
        build((4, 4, 6), **options)


def test_features_of_a_rank_that_cannot_be_pooled():
    with pytest.raises(ValueError, match="Received: shape="):
        build((2, 2, 2, 2, 6))


def test_numbers_and_names_of_classes():
    assert count_classes(3) == (3, None)
    assert count_classes(np.int64(3)) == (3, None)
    assert count_classes(("a", "b")) == (2, ["a", "b"])
    assert count_classes(np.array(["a", "b"])) == (2, ["a", "b"])


@pytest.mark.parametrize(
    "classes", [0, -1, 2.0, True, "cat", [], ["a", "a"], ["a", 1], None, {"a"}]
)
def test_what_is_neither_a_number_nor_names(classes):
    with pytest.raises(ValueError) as caught:
        count_classes(classes)
    assert str(caught.value).endswith(f"Received: classes={classes!r}")
