"""A new column beside one that stays as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from keras_transfer.backbones.graph import ordered_nodes
from keras_transfer.builders.lateral_connection import LateralConnection
from keras_transfer.builders.old_task import old_task
from keras_transfer.builders.progressive import build_progressive
from keras_transfer.caching.cut import Cut
from keras_transfer.freezing.reinitialize import reinitialize
from tests import networks


def classifier(**options):
    """Build a classifier with BatchNorm, dropout and values that show."""
    backbone = kt.load_backbone(networks.conv_base())
    model = kt.build_classifier(backbone, ["a", "b"], **options)
    networks.randomize(model)
    return model


def images(size=12):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (size, 8, 8, 3)).astype("float32")


def labels(size=12):
    return np.arange(size) % 3


def fit_all(model, rate=0.3, **options):
    """Train all that can be, with a rate at which nothing stays."""
    kt.set_trainable(model, "all", batch_norm="train")
    networks.train(model, images(), learning_rate=rate, **options)


def give_head(model, other):
    """Give a model the head of another one."""
    heads = (kt.layer_groups(x)[-1].variables for x in (model, other))
    for mine, its_own in zip(*heads, strict=True):
        mine.assign(its_own)


def connections(model):
    layers = model.get_layer("backbone").layers
    return [x for x in layers if isinstance(x, LateralConnection)]


def fill(connections, seed=0):
    random = np.random.default_rng(seed)
    for layer in connections:
        for weight in layer.weights:
            weight.assign(random.normal(0, 0.5, weight.shape))


def test_the_formula():
    """In double precision, of two hidden layers and two columns."""
    old = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="tanh", name="first"),
            layers.Dense(6, activation="tanh", name="second"),
            layers.Dense(2, activation="softmax", name="last"),
        ]
    )
    new = build_progressive(old, 3, channels=2, dropout=0)
    networks.randomize(new.get_layer("backbone"), seed=1)
    fill(connections(new))
    assert [[tuple(w.shape) for w in x.weights] for x in connections(new)] == [
        [(), (5, 2), (2, 5)],
        [(), (6, 2), (2, 6)],
    ]

    def read(layer):
        return [np.asarray(w, "float64") for w in layer.get_weights()]

    x = networks.batch_for(old)
    g, h = x.astype("float64"), x.astype("float64")
    sides = connections(new)
    for name, side in zip(("first", "second"), sides, strict=True):
        kernel, bias = read(old.get_layer(name))
        g = np.tanh(g @ kernel + bias)
        kernel, bias = read(new.get_layer("backbone").get_layer(name))
        scale, down, up = read(side)
        h = np.tanh(h @ kernel + bias)
        h = h + np.maximum(scale * g @ down, 0) @ up
    kernel, bias = read(new.get_layer("predictions"))
    odds = np.exp(h @ kernel + bias)
    expected = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(new(x), expected, rtol=1e-5)


def test_connections_act_on_maps_as_convolutions_do():
    side = LateralConnection(3)
    h, g = keras.random.normal((2, 4, 5, 6)), keras.random.normal((2, 4, 5, 7))
    side([h, g])
    fill([side])
    down, up = (w.numpy()[None, None] for w in (side.down, side.up))
    hidden = tf.nn.conv2d(g * side.scale, down, 1, "SAME")
    expected = h + tf.nn.conv2d(tf.nn.relu(hidden), up, 1, "SAME")
    np.testing.assert_allclose(side([h, g]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["mlp", "cnn", "nested_twice", "wrapper", "text_rnn", "transformer"]
)
def test_it_starts_as_the_plain_network_with_the_same_groups(name):
    old = networks.build(name)
    new, plain = build_progressive(old, 3), kt.replace_head(old, 3)
    give_head(new, plain)
    x = networks.batch_for(old)
    np.testing.assert_array_equal(new(x), plain(x))
    np.testing.assert_array_equal(old_task(new)(x), old(x))
    groups = [kt.layer_groups(model) for model in (new, plain)]
    assert [g.name for g in groups[0]] == [g.name for g in groups[1]]
    for mine, its_own in zip(*(g[:-1] for g in groups), strict=True):
        kept = [x for x in mine.layers if x.name != "column_1"]
        *kept, side = [x.name for x in kept]
        assert "lateral" in side
        assert kept == [x.name for x in its_own.layers][: len(kept)]


def stages():
    """Build a net whose blocks are models, as ConvNeXt's downsampling is."""
    blocks = [
        keras.Sequential(
            [
                layers.LayerNormalization(),
                layers.Conv2D(4, 2, name=f"conv_{n}"),
            ],
            name=f"block{n}",
        )
        for n in (1, 2, 3)
    ]
    stem = [keras.Input((8, 8, 3)), layers.Conv2D(4, 2)]
    top = [layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return keras.Sequential([*stem, *blocks, *top])


@pytest.mark.parametrize("name", ["MobileNetV2", "stages"])
def test_each_group_has_a_connection(name):
    old = stages() if name == "stages" else networks.application(name)
    new, plain = build_progressive(old, 3), kt.replace_head(old, 3)
    names = [[g.name for g in kt.layer_groups(x)] for x in (new, plain)]
    assert names[0] == names[1]
    assert len(connections(new)) == len(names[0]) - 1
    give_head(new, plain)
    x = networks.batch_for(old, size=2)
    np.testing.assert_array_equal(new(x), plain(x))


def test_the_old_answers_stay_to_the_bit():
    old = classifier(augmentation=layers.RandomFlip())
    eager = np.array(old(images()))
    compiled = old.predict(images(), verbose=0)
    new = build_progressive(old, 3)
    before, column = networks.values(new.weights), new.get_layer("column_1")
    old_weights = networks.values(column.weights)
    first = old_task(new)
    fit_all(new, rate=1.0, epochs=3)
    assert not networks.moved(column.weights, old_weights)
    moved = networks.moved(new.weights, before)
    trained = {w.path for w in new.trainable_weights}
    assert trained - {v.path for v in new.get_layer("backbone").weights} == {
        "predictions/kernel",
        "predictions/bias",
    }
    assert not any(w.trainable for w in column.weights)
    assert {w.path for w in connections(new)[0].weights} <= moved
    assert "first_bn/moving_mean" in moved
    for model in (old, first, old_task(new)):
        np.testing.assert_array_equal(model(images()), eager)
        answers = model.predict(images(), verbose=0)
        np.testing.assert_array_equal(answers, compiled)


def test_training_the_old_model_changes_nothing():
    old = classifier()
    new = build_progressive(old, 3)
    expected = [np.array(m(images())) for m in (new, old_task(new))]
    fit_all(old)
    for model, outputs in zip((new, old_task(new)), expected, strict=True):
        np.testing.assert_array_equal(model(images()), outputs)


def test_gradients_reach_connections_and_no_old_weight():
    new = build_progressive(classifier(), 3, dropout=0)
    kt.set_trainable(new, "all")

    def gradients():
        with tf.GradientTape() as tape:
            loss = keras.ops.sum(new(images(), training=False)[:, 0])
        weights = new.trainable_weights
        values = tape.gradient(loss, [w.value for w in weights])
        return {
            w.path: np.array(v) for w, v in zip(weights, values, strict=True)
        }

    found = gradients()
    for side in connections(new):
        assert np.any(found[side.up.path])
        assert not np.any(found[side.down.path])  # behind zeros
    fill(connections(new))
    found = gradients()
    for side in connections(new):
        for weight in side.weights:
            assert np.any(found[weight.path])
    column = {id(w) for w in new.get_layer("column_1").weights}
    assert not column.intersection(map(id, new.trainable_weights))


def test_phases_are_the_same_with_and_without_the_cache():
    old = classifier()
    expected = np.array(old(images()))
    results = []
    for cache in (True, False):
        keras.utils.set_random_seed(0)
        new = build_progressive(old, 3)
        phases = [kt.Phase("top:1", 2, 1e-2), kt.Phase("all", 2, 1e-2)]
        result = kt.fine_tune(
            new,
            (images(), labels()),
            (images(), labels()),
            strategy=phases,
            cache=cache,
            log_dir=False,
            baselines=False,
            verbose=0,
            seed=0,
        )
        assert result.model is new and len(result.phases) == 2
        np.testing.assert_array_equal(old_task(new)(images()), expected)
        results.append(networks.values(new.weights))
    for cached, plain in zip(*results, strict=True):
        np.testing.assert_allclose(cached, plain, rtol=1e-4, atol=1e-5)


def test_the_cut_lies_inside_the_new_column():
    new = build_progressive(classifier(), 3)
    kt.set_trainable(new, "top:1")
    last, head = kt.layer_groups(new)[-2:]
    tail = [step.operation for step in Cut(new).tail]
    assert [x for x in tail if x in (*last.layers, *head.layers)] == tail
    shapes = {step.tensors[0].shape[1:] for step in Cut(new).tail}
    assert (8, 8, 4) in shapes and len(Cut(new).keys) == 2


def test_gradual_unfreezing_in_a_plain_fit():
    old = classifier()
    expected = np.array(old(images()))
    new = build_progressive(old, 3)
    names = [group.name for group in kt.layer_groups(new)]
    phases = [kt.Phase(n, 1, 0.1) for n in ("head", "top:1", "all")]
    new.compile("sgd", "sparse_categorical_crossentropy")
    before = networks.values(new.weights)
    new.fit(
        images(),
        labels(),
        epochs=3,
        callbacks=[kt.GradualUnfreezing(phases)],
        verbose=0,
    )
    assert names == ["stem", "block_1", "block_2", "block_3", "head"]
    assert "first_conv/kernel" in networks.moved(new.weights, before)
    np.testing.assert_array_equal(old_task(new)(images()), expected)
    assert "frozen" not in kt.trainable_summary(new).replace(
        "BatchNorm frozen", ""
    )


def test_saved_and_loaded_it_trains_on(tmp_path):
    old = classifier(augmentation=layers.RandomFlip())
    expected = np.array(old(images()))
    new = build_progressive(old, ["x", "y", "z"])
    fit_all(new, rate=0.01)
    kt.set_trainable(new, "top:1")
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_array_equal(loaded(images()), new(images()))
    assert loaded.class_names == ["x", "y", "z"]
    assert [w.path for w in loaded.trainable_weights] == [
        w.path for w in new.trainable_weights
    ]
    assert kt.trainable_summary(loaded) == kt.trainable_summary(new)
    fit_all(loaded)
    np.testing.assert_array_equal(old_task(loaded)(images()), expected)
    assert old_task(loaded).class_names == ["a", "b"]
    new.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(tmp_path / "export")
    answers = new.predict(images(), verbose=0)
    np.testing.assert_allclose(served.serve(images()), answers, rtol=1e-5)


def test_a_third_column_with_connections_from_both(tmp_path):
    old = classifier()
    second = build_progressive(old, ["x", "y", "z"])
    fit_all(second, rate=0.01)
    expected = [np.array(m(images())) for m in (old, second)]
    third, plain = build_progressive(second, 4), kt.replace_head(second, 4)
    give_head(third, plain)
    np.testing.assert_array_equal(third(images()), plain(images()))
    assert len(connections(third)) == 2 * len(connections(second))
    names = [x.name for x in third.layers]
    assert [n for n in names if "column" in n] == ["column_1", "column_2"]
    before = networks.values(third.weights)
    fit_all(third)
    moved = networks.moved(third.weights, before)
    assert {x.up.path for x in connections(third)} <= moved
    third.save(tmp_path / "third.keras")
    loaded = keras.models.load_model(tmp_path / "third.keras")
    for model in (third, loaded):
        for number, outputs in enumerate(expected, start=1):
            answers = old_task(model, number)(images())
            np.testing.assert_array_equal(answers, outputs)
    assert old_task(loaded, 2).class_names == ["x", "y", "z"]


def test_new_random_weights_leave_the_old_column_alone():
    old = classifier()
    expected = np.array(old(images()))
    new = build_progressive(old, 3, initial="random")
    kernels = [
        model.get_layer("backbone").get_layer("res_a_conv").kernel
        for model in (old, new)
    ]
    assert not np.any(np.isclose(*kernels, atol=1e-6))
    before = networks.values(new.weights)
    reinitialize(new)  # what the strategy "scratch" does
    assert "res_a_conv/kernel" in networks.moved(new.weights, before)
    np.testing.assert_array_equal(old_task(new)(images()), expected)


@pytest.fixture
def mixed_float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def test_mixed_precision(mixed_float16):
    old = classifier()
    new, plain = build_progressive(old, 3), kt.replace_head(old, 3)
    give_head(new, plain)
    np.testing.assert_array_equal(new(images()), plain(images()))
    expected = np.array(old(images()))
    fit_all(new, rate=0.01)
    np.testing.assert_array_equal(old_task(new)(images()), expected)
    assert new.get_layer("backbone").output.dtype == "float16"
    assert {w.dtype for x in connections(new) for w in x.weights} == {"float32"}


def test_columns_keep_their_precision_whatever_the_policy_is(request):
    old = classifier()
    expected = np.array(old(images()))
    request.getfixturevalue("mixed_float16")
    new = build_progressive(old, 3)
    assert {x.compute_dtype for x in connections(new)} == {"float32"}
    np.testing.assert_array_equal(old_task(new)(images()), expected)


def test_both_columns_see_the_same_augmented_picture():
    adapted = layers.Normalization()
    adapted.adapt(images())
    old = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            adapted,
            layers.RandomFlip(),
            layers.Rescaling(2.0),
            layers.Conv2D(4, 3),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    new = build_progressive(old, 3, dropout=0)
    entering = {
        node.operation.name: keras.tree.flatten(node.arguments.args)[0]
        for node in ordered_nodes(new)
    }
    assert entering["column_1"] is entering["backbone"]
    assert [type(x) for x in new.layers[1:3]] == [
        layers.Normalization,
        layers.RandomFlip,
    ]
    new.predict(images(), verbose=0)
    np.testing.assert_array_equal(
        old_task(new)(images(), training=False),
        old(images(), training=False),
    )
    drawn = [np.array(new(images(), training=True)) for _ in "ab"]
    assert not np.allclose(*drawn)


def test_the_old_column_adds_no_losses():
    old = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4, activity_regularizer="l2", name="a"),
            layers.Dense(4, kernel_regularizer="l2", name="b"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    new, plain = build_progressive(old, 3), kt.replace_head(old, 3)
    x = networks.batch_for(old)
    totals = []
    for model in (new, plain):
        kt.set_trainable(model, "all")
        for _ in range(2):
            model(x)
        totals.append(float(sum(model.losses)))
    assert totals[0] == totals[1] > 0
    networks.train(new, x)
    column = new.get_layer("column_1").column
    assert not any(layer._losses for layer in column.layers)


@keras.saving.register_keras_serializable("tests")
class Closed(layers.Layer):
    """A layer that cannot be built from its configuration."""

    def __init__(self, units):
        super().__init__()
        self.dense = layers.Dense(units)

    def call(self, x):
        return self.dense(x)


def closed():
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2)(Closed(3)(inputs)))


def channels_first():
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(4, 3, data_format="channels_first")(inputs)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"model": "MobileNetV2"}, "model='MobileNetV2'"),
        ({"model": networks.subclassed}, "model=<Subclassed"),
        ({"model": networks.two_towers}, "model=<Functional name=two_towers"),
        ({"model": networks.two_outputs}, "model=<Functional name=two_out"),
        ({"model": networks.unet}, "model=unet with the layer groups"),
        ({"model": networks.conv_base}, "model=base with the layer groups"),
        ({"model": closed}, "layer=closed"),
        ({"model": channels_first}, ".*data_format='channels_first'"),
        ({"classes": 0}, "classes=0"),
        ({"initial": "zeros"}, "initial='zeros'"),
        ({"channels": 0}, "channels=0"),
        ({"channels": 1.5}, "channels=1.5"),
        ({"channels": True}, "channels=True"),
        ({"pooling": "sum"}, "pooling='sum'"),
        ({"dropout": 2}, "dropout=2"),
    ],
)
def test_wrong_arguments(options, received):
    settings = {"model": networks.mlp, "classes": 3, **options}
    if not isinstance(settings["model"], str):
        settings["model"] = settings["model"]()
    with pytest.raises(ValueError, match=f"Received: {received}"):
        build_progressive(**settings)
