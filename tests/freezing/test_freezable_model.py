"""Frozen means deterministic, inside `fit` too, and nothing else changes."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from keras_transfer.freezing.freezable_model import (
    FreezableModel,
    FreezableSequential,
)
from tests import networks


class Recorder(layers.Layer):
    """Keeps what flows through it, whatever calls the model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False
        self.clear()

    def clear(self):
        self.seen = []

    def call(self, inputs):
        tf.numpy_function(lambda x: self.seen.append(x.copy()), [inputs], [])
        return inputs


RANDOM_LAYERS = {
    "Dropout": lambda: layers.Dropout(0.5),
    "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.5),
    "GaussianNoise": lambda: layers.GaussianNoise(1.0),
    "GaussianDropout": lambda: layers.GaussianDropout(0.5),
    "LSTM": lambda: layers.LSTM(8, return_sequences=True, dropout=0.5),
    "GRU": lambda: layers.GRU(8, return_sequences=True, recurrent_dropout=0.5),
    "Bidirectional": lambda: layers.Bidirectional(
        layers.LSTM(4, return_sequences=True, dropout=0.5)
    ),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dropout(0.5)),
    "Block": lambda: networks.Block(8),
    "nested model": lambda: keras.Sequential(
        [keras.Input((6, 8)), layers.Dropout(0.5)]
    ),
}


def sequence_model(layer):
    """Build three groups and a head; the layer is in or is the second."""
    recorder = Recorder()
    inputs = keras.Input((6, 8))
    x = layers.Dense(8, name="first")(inputs)
    x = layers.Dense(8, name="second")(x)
    if isinstance(layer, layers.MultiHeadAttention):
        x = layer(x, x)
    else:
        x = layer(x)
    x = recorder(layers.Dense(8, name="third")(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, name="out")(x)), recorder


def record_fit(model, recorder, x, **options):
    """Collect what the recorder sees in two epochs of one batch."""
    recorder.clear()
    networks.train(model, x, epochs=2, **options)
    return recorder.seen


def assert_deterministic(model, recorder, x, **options):
    seen = record_fit(model, recorder, x, **options)
    recorder.clear()
    model.predict(x, verbose=0)
    for array in seen:
        np.testing.assert_allclose(array, recorder.seen[0], rtol=1e-5)
    assert len(seen) == 2


@pytest.mark.parametrize("name", [*RANDOM_LAYERS, "MultiHeadAttention"])
def test_frozen_groups_do_not_draw_and_live_ones_do(name):
    layer = (
        layers.MultiHeadAttention(2, 4, dropout=0.5)
        if name == "MultiHeadAttention"
        else RANDOM_LAYERS[name]()
    )
    model, recorder = sequence_model(layer)
    networks.randomize(model)
    x = networks.batch_for(model)
    kt.set_trainable(model, "head")
    assert_deterministic(model, recorder, x, run_eagerly=True)
    kt.set_trainable(model, "all")
    outputs = model(x, training=True)
    assert not np.allclose(outputs, model(x, training=True))


def test_a_frozen_group_between_live_ones():
    model, recorder = sequence_model(layers.Dropout(0.5))
    x = networks.batch_for(model)
    kt.set_trainable(model, ["stem", "head"])
    assert_deterministic(model, recorder, x, learning_rate=0.0)


def test_a_live_group_between_frozen_ones_goes_on_drawing():
    model, recorder = sequence_model(layers.Dropout(0.5))
    x = networks.batch_for(model)
    kt.set_trainable(model, "block_1")
    first, second = record_fit(model, recorder, x, learning_rate=0.0)
    assert not np.allclose(first, second)


@pytest.mark.parametrize("eager", [False, True])
def test_run_eagerly(eager):
    model, recorder = sequence_model(layers.Dropout(0.5))
    x = networks.batch_for(model)
    kt.set_trainable(model, "head")
    assert_deterministic(model, recorder, x, run_eagerly=eager)


def test_a_backbone_with_stochastic_depth():
    """EfficientNetB0 has nine such layers, and preprocessing inside."""
    recorder = Recorder()
    backbone = kt.load_backbone(
        "EfficientNetB0", weights=None, input_shape=(32, 32, 3)
    )
    networks.randomize(backbone.model)
    model = kt.build_classifier(
        backbone, 3, head=[recorder, layers.Dropout(0.5)]
    )
    x = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3))
    assert_deterministic(model, recorder, x, run_eagerly=True)
    kt.set_trainable(model, "top:16")
    recorder.clear()
    for _ in range(2):
        model(x, training=True)
    assert not np.allclose(*recorder.seen)


def test_the_outermost_model_decides_what_a_group_is():
    """Alone, the inner net takes all after its pooling for one head."""
    recorder = Recorder()
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(16, name="one")(x)
    x = layers.Dropout(0.5)(x)
    x = recorder(layers.Dense(16, name="two")(x))
    inner = keras.Model(inputs, layers.Dense(4, name="three")(x))
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), inner, layers.Dense(2, name="four")]
    )
    x = networks.batch_for(model)
    assert len(kt.layer_groups(inner)) == 2
    kt.set_trainable(model, "top:1")
    assert_deterministic(model, recorder, x, learning_rate=0.0)


def test_a_class_around_a_graph_is_deterministic_too():
    recorder = Recorder()
    inner = networks.Functional()
    model = keras.Sequential(
        [keras.Input((6,)), inner, recorder, layers.Dense(2)]
    )
    x = networks.batch_for(model)
    kt.set_trainable(model, "head")
    assert type(inner) is networks.Functional
    assert_deterministic(model, recorder, x)
    kt.set_trainable(model, ["block_1", "head"])
    first, second = record_fit(model, recorder, x, learning_rate=0.0)
    assert not np.allclose(first, second)


def test_a_class_around_a_graph_is_deterministic_after_loading(tmp_path):
    inputs = keras.Input((6,))
    outputs = layers.Dense(2)(networks.Functional()(inputs))
    model = keras.Model(inputs, outputs)
    x = networks.batch_for(model)
    kt.set_trainable(model, "top:1")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x, training=True), model(x))


def test_a_frozen_subclassed_model_inside():
    recorder = Recorder()
    inner = networks.subclassed(dropout=0.5)
    model = keras.Sequential(
        [keras.Input((6,)), inner, recorder, layers.Dense(2)]
    )
    x = networks.batch_for(model)
    kt.set_trainable(model, "head")
    assert_deterministic(model, recorder, x)


def adapted():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(size=(9, 6)))
    return layer


def noise():
    return layers.GaussianNoise(1.0, name="noise")


AUGMENTED = {
    "bare": lambda: [noise()],
    "training only": lambda: [kt.TrainingOnly(noise())],
    "after adapted normalization": lambda: [
        adapted(),
        noise(),
    ],
    "nested": lambda: [keras.Sequential([layers.Rescaling(1.0), noise()])],
    "nested with the weights": lambda: [
        keras.Sequential([noise(), layers.Dense(6)])
    ],
}


@pytest.mark.parametrize("name", AUGMENTED)
@pytest.mark.parametrize("train", ["head", "none"])
def test_augmentation_goes_on_before_frozen_groups(name, train):
    recorder = Recorder()
    model = keras.Sequential(
        [
            keras.Input((6,)),
            *AUGMENTED[name](),
            layers.Dense(6),
            layers.Dropout(0.5),
            layers.Dense(6),
            recorder,
            layers.Dense(2),
        ]
    )
    x = networks.batch_for(model)
    kt.set_trainable(model, train)
    outputs = np.array(model(x, training=True))
    assert not np.allclose(outputs, model(x, training=True))
    if train == "head":
        first, second = record_fit(model, recorder, x, run_eagerly=True)
        assert not np.allclose(first, second)


def test_noise_after_weights_is_frozen_with_them_in_a_nested_model_too():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(6),
            keras.Sequential([noise(), layers.Dense(6)]),
            layers.Dense(2),
        ]
    )
    x = networks.batch_for(model)
    kt.set_trainable(model, "head")
    np.testing.assert_array_equal(model(x, training=True), model(x))


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_bare_random_layer_does_not_put_the_rest_in_training_mode(kind):
    """Upstream it does: see `tests/data/test_augmentation.py`."""
    inputs = keras.Input((8, 8, 3))
    stack = [
        layers.RandomFlip(),
        layers.RandomContrast(0.5),
        networks.conv_base(),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(2),
    ]
    if kind == "sequential":
        model = keras.Sequential([inputs, *stack])
    else:
        x = inputs
        for layer in stack:
            x = layer(x)
        model = keras.Model(inputs, x)
    kt.set_trainable(model, "all", batch_norm="train")
    networks.randomize(model)
    x = networks.batch_for(model)
    expected = model.predict(x, verbose=0)
    before = networks.values(model.variables)
    for _ in range(3):
        np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)
    assert not networks.moved(model.variables, before)


class Outer(keras.Model):
    """A model of the user's own that calls one of ours inside."""

    def __init__(self, base, **options):
        super().__init__()
        self.base = base
        self.options = options
        self.probe = layers.Dropout(0.5)

    def call(self, x):
        return self.probe(keras.ops.ones_like(self.base(x, **self.options)))


@pytest.mark.parametrize("training", [None, False, True])
@pytest.mark.parametrize("inside", [None, False, True])
def test_the_mode_does_not_leak_into_an_outer_model(training, inside):
    base = networks.build("mlp" if inside else "cnn")
    kt.set_trainable(base, "head")
    outer = Outer(base, training=inside) if inside is not None else Outer(base)
    x = networks.batch_for(base, 64)
    outputs = np.array(outer(x, training=training))
    assert np.all(outputs == 1) != bool(training)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_outputs_are_those_of_the_plain_model(name):
    model = networks.build(name)
    x = networks.batch_for(model)
    expected = keras.tree.flatten(model(x, training=False))
    kt.set_trainable(model, "all")
    for called in (model(x), model(x, training=False)):
        for output, wanted in zip(
            keras.tree.flatten(called), expected, strict=True
        ):
            np.testing.assert_array_equal(output, wanted)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_masks_reach_the_layers():
    model = networks.build("text_rnn")
    x = networks.batch_for(model)
    x[:, 3:] = 0
    expected = model(x, training=False)
    kt.set_trainable(model, "head")
    np.testing.assert_array_equal(model(x), expected)
    features = keras.Input((None, 6))
    inner = FreezableModel(features, layers.GRU(3)(features))
    array = np.random.default_rng(0).normal(size=(2, 7, 6)).astype("float32")
    mask = np.arange(7)[None] < [[3], [5]]
    masked = inner(array, mask=mask)
    np.testing.assert_allclose(
        masked[:1], inner(array[:1, :3]), rtol=1e-5, atol=1e-6
    )


def test_a_call_on_another_shape_and_on_symbols():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    kt.set_trainable(model, "head")
    again = keras.Input((9, 9, 3))
    outer = keras.Model(again, model(again))
    x = np.ones((2, 9, 9, 3), "float32")
    np.testing.assert_array_equal(outer(x), model(x))
    assert model.compute_output_shape((None, 5, 5, 3)) == (None, 2)


@pytest.mark.parametrize("name", ["cnn", "nested", "mlp", "transformer"])
def test_a_clone_shares_nothing(name):
    model = networks.build(name)
    kt.set_trainable(model, "top:1")
    clone = keras.models.clone_model(model)
    assert not {id(x) for x in clone._flatten_layers()} & {
        id(x) for x in model._flatten_layers()
    }
    clone.set_weights(model.get_weights())
    x = networks.batch_for(model)
    np.testing.assert_array_equal(clone(x), model(x))


def test_layers_added_to_a_sequential_model_later():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(6), layers.Dropout(0.5)]
    )
    kt.set_trainable(model, "none")
    model.add(layers.Dense(2))
    x = networks.batch_for(model)
    np.testing.assert_array_equal(model(x, training=True), model(x))
    assert type(model) is FreezableSequential


STATES = {
    "cnn": [
        ("top:1", "frozen"),
        ("top:2", "train"),
        ("all", "statistics"),
        ("none", "frozen"),
    ],
    "transformer": [("block_3", "frozen")],
    "blocks": [("top:1", "frozen"), ("top:2", "statistics")],
    "nested": [("top:2", "statistics")],
    "nested_twice": [("top:1", "frozen"), ("top:2", "statistics")],
    "mlp": [("block_1", "frozen")],
    "text_rnn": [("top:1", "frozen")],
    "adapted": [(["stem", "head"], "statistics")],
}


def positions(model):
    """Tell which weights `fit` may move: trainable ones, and statistics."""
    moving = {
        id(variable)
        for layer in model._flatten_layers()
        if isinstance(layer, layers.BatchNormalization) and layer.trainable
        for variable in (layer.moving_mean, layer.moving_variance)
    }
    return [v.trainable or id(v) in moving for v in model.weights]


@pytest.mark.parametrize(
    ("name", "train", "batch_norm"),
    [(name, *state) for name in STATES for state in STATES[name]],
)
def test_a_saved_model_goes_on_where_it_was(name, train, batch_norm, tmp_path):
    model = networks.build(name)
    kt.set_trainable(model, train, batch_norm=batch_norm)
    x = networks.batch_for(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert kt.trainable_summary(loaded) == kt.trainable_summary(model)
    np.testing.assert_array_equal(loaded(x), model(x))
    if (train, batch_norm) == STATES[name][0]:
        np.testing.assert_array_equal(
            loaded.predict(x, verbose=0), model.predict(x, verbose=0)
        )
    assert positions(loaded) == positions(model)
    if train != "none":
        before = networks.values(loaded.weights)
        networks.train(loaded, x, run_eagerly=True)
        moving = networks.moved(loaded.weights, before)
        allowed = {
            weight.path
            for weight, moves in zip(
                loaded.weights, positions(model), strict=True
            )
            if moves
        }
        assert moving and moving <= allowed
        if batch_norm == "statistics":
            statistics = {path for path in allowed if "moving_" in path}
            assert statistics and statistics <= moving


def test_a_compiled_model_keeps_its_optimizer(tmp_path):
    model = networks.build("mlp")
    kt.set_trainable(model, "top:1")
    x = networks.batch_for(model)
    y = np.zeros((6, 3))
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for old, new in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(old, new)
    before = networks.values(loaded.weights)
    loaded.fit(x, y, verbose=0)
    live = {v.path for v in loaded.trainable_weights}
    assert networks.moved(loaded.weights, before) == live


def test_a_fresh_process_needs_our_import_only(tmp_path):
    backbone = kt.load_backbone(
        "MobileNet", weights=None, input_shape=(32, 32, 3)
    )
    networks.randomize(backbone.model)
    model = kt.build_classifier(
        backbone, ["a", "b"], augmentation=layers.RandomFlip()
    )
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x.astype("float32"))
    script = (
        "import keras, keras_transfer, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "assert model.class_names == ['a', 'b']\n"
        "x = np.load('x.npy')\n"
        "np.save('y.npy', model(x))\n"
        "assert len(model.trainable_weights) == 2\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model(x))


@pytest.mark.parametrize("name", ["nested_twice", "Functional"])
def test_an_export_computes_the_same(name, tmp_path):
    model = networks.build(name)
    kt.set_trainable(model, "top:1", batch_norm="train")
    x = networks.batch_for(model)
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(tmp_path / "export")
    np.testing.assert_array_equal(served.serve(x), model.predict(x, verbose=0))


def test_weights_files(tmp_path):
    model, other = networks.build("cnn"), networks.build("cnn")
    kt.set_trainable(model, "head")
    networks.randomize(model, seed=1)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    x = networks.batch_for(model)
    np.testing.assert_array_equal(model(x), other(x, training=False))


def test_upstream_passes_training_over_the_stored_argument():
    """Keras 3.15, fact of the guide: fails when Keras keeps the argument."""
    model = networks.build("nested")
    model.get_layer("base").trainable = True
    statistics = model.non_trainable_weights
    before = networks.values(statistics)
    x = networks.batch_for(model)
    networks.train(model, x, learning_rate=0.0)
    assert len(networks.moved(statistics, before)) == 8
    kt.set_trainable(model, "all")
    before = networks.values(model.weights)
    networks.train(model, x, learning_rate=0.0)
    assert not networks.moved(model.weights, before)
