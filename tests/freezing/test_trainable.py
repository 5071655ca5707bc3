"""What is said to train is what moves in `fit`, and nothing else."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from tests import networks
from tests.backbones import saved_models


def batch_norms(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, layers.BatchNormalization)
    ]


def statistics(model):
    return [
        variable
        for layer in batch_norms(model)
        for variable in (layer.moving_mean, layer.moving_variance)
    ]


def affine(model):
    return [
        variable
        for layer in batch_norms(model)
        for variable in (layer.gamma, layer.beta)
    ]


def live_groups(model):
    live = {id(variable) for variable in model.trainable_weights}
    return [
        group.name
        for group in kt.layer_groups(model)
        if any(id(variable) in live for variable in group.variables)
    ]


def paths(variables):
    return {variable.path for variable in variables}


def fit_and_compare(model, **options):
    """Return the paths of the weights that a fit moves."""
    x = networks.batch_for(model)
    before = networks.values(model.weights)
    networks.train(model, x, **options)
    return networks.moved(model.weights, before)


CHOICES = {
    "head": ["head"],
    "top:0": ["head"],
    "top:2": ["block_2", "block_3", "head"],
    "top:4": ["stem", "block_1", "block_2", "block_3", "head"],
    "all": ["stem", "block_1", "block_2", "block_3", "head"],
    "none": [],
    r"block_\d": ["block_1", "block_2", "block_3"],
    "stem|head": ["stem", "head"],
    "block_2": ["block_2"],
}


@pytest.mark.parametrize("name", ["cnn", "nested", "nested_twice", "siamese"])
def test_choices_by_word_and_by_pattern(name):
    model = networks.build(name)
    for train, groups in CHOICES.items():
        kt.set_trainable(model, train)
        assert live_groups(model) == groups, train


def test_a_list_of_groups():
    model = networks.build("cnn")
    for kind in (list, tuple, set, iter):
        kt.set_trainable(model, kind(["head", "stem"]))
        assert live_groups(model) == ["stem", "head"], kind
        kt.set_trainable(model, kind([]))
        assert live_groups(model) == [], kind


def test_a_choice_that_means_nothing_changes_nothing():
    model = networks.build("cnn")
    kt.set_trainable(model, "top:1")
    for train in (
        "block",
        "blocks_1",
        "Head",
        "top:5",
        "top:-1",
        "top:",
        "block_(",
        ["head", "tail"],
        ["block_."],
        None,
        3,
        [1],
    ):
        with pytest.raises(ValueError) as caught:
            kt.set_trainable(model, train)
        message = str(caught.value)
        assert "stem, block_1, block_2, block_3, head" in message
        assert message.endswith(f"Received: train={train!r}")
        assert live_groups(model) == ["block_3", "head"], train


def test_a_model_without_a_head():
    model = networks.conv_base()
    for train in ("head", "top:1"):
        with pytest.raises(ValueError, match="stem, block_1.*Received: train"):
            kt.set_trainable(model, train)
    kt.set_trainable(model, "block_3")
    assert live_groups(model) == ["block_3"]


def test_an_unknown_rule_for_batch_norm():
    model = networks.build("cnn")
    for batch_norm in ("live", None, True):
        with pytest.raises(ValueError, match="frozen.*Received: batch_norm="):
            kt.set_trainable(model, "all", batch_norm=batch_norm)


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("mlp", "top:1"),
        ("cnn", "top:2"),
        ("cnn", "stem|head"),
        ("text_rnn", "block_1|head"),
        ("transformer", "block_2"),
        ("unet", "block_[34]"),
        ("two_towers", "head"),
        ("two_outputs", "top:1"),
        ("tied", "stem"),
        ("tied", "head"),
        ("nested", "top:2"),
        ("nested_twice", "top:1"),
        ("adapted", ["stem", "head"]),
        ("wrapper", "block_1|block_2"),
        ("blocks", "top:1"),
        ("subclassed", "top:1"),
        ("Functional", "top:1"),
        ("OwnCall", "top:1"),
    ],
)
def test_what_trains_is_what_moves(name, train):
    model = networks.build(name)
    kt.set_trainable(model, train)
    groups = set(live_groups(model))
    expected = {
        variable.path
        for group in kt.layer_groups(model)
        if group.name in groups
        for variable in group.variables
    } - paths(statistics(model) + affine(model))
    # A graph is held to the same below, where BatchNorm is looked at.
    moved = fit_and_compare(model, epochs=3, run_eagerly=True)
    assert moved == expected
    assert paths(model.trainable_weights) == expected


@pytest.mark.parametrize("name", ["cnn", "nested", "blocks"])
def test_batch_norm_frozen(name):
    model = networks.build(name)
    kt.set_trainable(model, "all")
    moved = fit_and_compare(model, run_eagerly=name == "blocks")
    assert moved and not moved & paths(statistics(model) + affine(model))


@pytest.mark.parametrize("name", ["cnn", "nested", "blocks"])
def test_batch_norm_that_adapts_its_statistics(name):
    model = networks.build(name)
    kt.set_trainable(model, "top:1", batch_norm="statistics")
    last = kt.layer_groups(model)[-2].variables
    moved = fit_and_compare(model, epochs=2, run_eagerly=name == "cnn")
    assert moved & paths(statistics(model)) == paths(statistics(model)) & paths(
        last
    )
    assert moved & paths(statistics(model))
    assert not moved & paths(affine(model))


@pytest.mark.parametrize("name", ["cnn", "nested", "blocks"])
def test_batch_norm_that_trains(name):
    model = networks.build(name)
    kt.set_trainable(model, "top:1", batch_norm="train")
    last = paths(kt.layer_groups(model)[-2].variables)
    moved = fit_and_compare(model, epochs=2, run_eagerly=name != "cnn")
    assert moved & paths(affine(model)) == paths(affine(model)) & last
    assert moved & paths(statistics(model)) == paths(statistics(model)) & last


def test_a_group_of_nothing_but_batch_norm_adapts():
    norm = layers.BatchNormalization(center=False, scale=False)
    model = keras.Sequential([keras.Input((6,)), norm])
    kt.set_trainable(model, "all", batch_norm="statistics")
    before = networks.values(norm.weights)
    model(networks.batch_for(model), training=True)
    assert len(networks.moved(norm.weights, before)) == 2
    assert "BatchNorm adapts" in kt.trainable_summary(model)


@pytest.mark.parametrize("batch_norm", ["frozen", "statistics"])
def test_at_learning_rate_zero_only_statistics_may_move(batch_norm):
    model = networks.build("nested")
    kt.set_trainable(model, "all", batch_norm=batch_norm)
    x = networks.batch_for(model)
    outputs = model.predict(x, verbose=0)
    moved = fit_and_compare(model, learning_rate=0.0, epochs=2)
    frozen = batch_norm == "frozen"
    assert moved == (set() if frozen else paths(statistics(model)))
    same = np.array_equal(model.predict(x, verbose=0), outputs)
    assert same == frozen


def test_choices_one_after_another():
    """Each state is that of a model for which it is the first."""
    x = None
    model = networks.build("nested")
    for train, batch_norm in [
        ("all", "train"),
        ("head", "frozen"),
        ("top:2", "statistics"),
        ("top:2", "train"),
        ("none", "frozen"),
        ("stem|block_2", "frozen"),
        ("all", "statistics"),
        ("all", "frozen"),
        ("top:1", "train"),
    ]:
        fresh = networks.build("nested")
        for each in (model, fresh):
            kt.set_trainable(each, train, batch_norm=batch_norm)
        x = networks.batch_for(model)
        assert [w.trainable for w in model.weights] == [
            w.trainable for w in fresh.weights
        ]
        assert [b.trainable for b in batch_norms(model)] == [
            b.trainable for b in batch_norms(fresh)
        ]
        if train != "none":
            moved = fit_and_compare(model, run_eagerly=True)
            live = paths(model.trainable_weights)
            adapting = batch_norm != "frozen" and paths(statistics(model))
            assert moved - (adapting or set()) <= live
    assert x is not None


def test_a_compiled_model_trains_less_at_once():
    """A step traced before would go on training what it trained."""
    model = networks.build("cnn")
    x = networks.batch_for(model)
    kt.set_trainable(model, "all")
    networks.train(model, x)
    kt.set_trainable(model, "head")
    before = networks.values(model.weights)
    model.fit(x, np.zeros((6, 3)), verbose=0)
    assert networks.moved(model.weights, before) == paths(
        model.trainable_weights
    )


TOGGLES = {
    "model off": lambda model: setattr(model, "trainable", False),
    "base off": lambda model: setattr(
        model.get_layer("base"), "trainable", False
    ),
    "base off, a leaf on": lambda model: [
        setattr(model.get_layer("base"), "trainable", False),
        setattr(
            model.get_layer("base").get_layer("res_b_bn"), "trainable", True
        ),
    ],
    "leaves off": lambda model: [
        setattr(layer, "trainable", False)
        for layer in model.get_layer("base").layers[-6:]
    ],
    "weights off": lambda model: [
        setattr(weight, "trainable", False) for weight in model.weights[::3]
    ],
    "off and on": lambda model: [
        setattr(model, "trainable", False),
        setattr(model, "trainable", True),
    ],
}


@pytest.mark.parametrize(
    ("toggle", "batch_norm"),
    list(zip(TOGGLES, ["frozen", "train"] * 3, strict=True)),
)
def test_flags_that_the_user_set_before(toggle, batch_norm):
    model, fresh = networks.build("nested"), networks.build("nested")
    TOGGLES[toggle](model)
    for each in (model, fresh):
        kt.set_trainable(each, "top:2", batch_norm=batch_norm)
    assert [w.trainable for w in model.weights] == [
        w.trainable for w in fresh.weights
    ]
    assert [b.trainable for b in batch_norms(model)] == [
        b.trainable for b in batch_norms(fresh)
    ]


@pytest.mark.parametrize("toggle", TOGGLES)
def test_flags_that_the_user_sets_afterwards(toggle):
    model = networks.build("nested")
    kt.set_trainable(model, "all")
    TOGGLES[toggle](model)
    live = paths(model.trainable_weights)
    if live:
        moved = fit_and_compare(model, run_eagerly=True)
        assert moved - paths(statistics(model)) <= live
    last = kt.trainable_summary(model).splitlines()[-1]
    count = sum(np.prod(w.shape) for w in model.trainable_weights)
    assert last.startswith(f"trainable: {int(count):,} ||")


class Tied(layers.Layer):
    """An output layer that holds the first layer of the model, too."""

    def __init__(self, first, **kwargs):
        super().__init__(**kwargs)
        self.first = first
        self.out = layers.Dense(3)

    def build(self, shape):
        self.out.build(shape)

    def call(self, x):
        return self.out(x + keras.ops.mean(self.first.kernel))


@pytest.mark.parametrize("train", ["stem", "head", "block_1", "all"])
def test_weights_held_in_common_belong_to_the_first_group(train):
    first = layers.Dense(6)
    model = keras.Sequential(
        [keras.Input((6,)), first, layers.Dense(6), Tied(first)]
    )
    kt.set_trainable(model, train)
    expected = ["stem", "block_1", "head"] if train == "all" else [train]
    assert live_groups(model) == expected
    assert fit_and_compare(model) == paths(model.trainable_weights)


def test_a_hub_layer_in_a_model(tmp_path):
    layer = kt.HubLayer(saved_models.save_conv_net(tmp_path / "net"))
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layer, layers.Dense(2, name="out")]
    )
    for train in ("top:1", "head", "block_1|head"):
        kt.set_trainable(model, train)
        groups = live_groups(model)
        assert groups[-1] == "head" and len(groups) == 1 + (train != "head")
        expected = {
            variable.path
            for group in kt.layer_groups(model)
            if group.name in groups
            for variable in group.variables
        }
        assert fit_and_compare(model, epochs=3) == expected
    x = networks.batch_for(model)
    for batch_norm, draws in [("train", True), ("frozen", False)]:
        kt.set_trainable(model, "top:1", batch_norm=batch_norm)
        first, second = model(x, training=True), model(x, training=True)
        assert np.array_equal(first, second) != draws


@pytest.mark.parametrize("network", ["subclassed", "OwnCall"])
def test_random_layers_out_of_reach_are_refused(network):
    builds = {
        "subclassed": lambda: networks.subclassed(dropout=0.5),
        "OwnCall": lambda: networks.OwnCall(dropout=0.5),
    }
    inner = builds[network]()
    outer = keras.Sequential([keras.Input((6,)), inner, layers.Dense(2)])
    for model in (inner, outer):
        with pytest.raises(ValueError, match=r"dropout.*Received: model="):
            kt.set_trainable(model, "top:1")
        kt.set_trainable(model, "all")
    kt.set_trainable(outer, "head")
    assert live_groups(outer) == ["head"]


def test_recurrent_layers_without_dropout_are_not_random():
    class Recurrent(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.LSTM(4)
            self.second = layers.Dense(4)
            self.last = layers.Dense(3)

        def call(self, x):
            return self.last(self.second(self.first(x)))

    model = Recurrent()
    model(keras.Input((7, 2)))
    kt.set_trainable(model, "head")
    assert live_groups(model) == ["head"]


def test_upstream_does_not_recurse_where_nothing_changes():
    """Keras 3.15 on TensorFlow; once mended, `_unfreeze` can be simpler."""
    model = networks.build("nested")
    leaf = model.get_layer("base").get_layer("res_a_conv")
    leaf.trainable = False
    model.trainable = True
    assert not leaf.trainable
