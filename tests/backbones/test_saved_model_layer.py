"""A hub layer in `.keras` files, configurations, clones and exports."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.backbones.hub_layer import HubLayer
from tests.backbones import saved_models
from tests.backbones.saved_models import SIZE, images


@pytest.fixture
def folder(tmp_path):
    return saved_models.save_conv_net(tmp_path / "net", dropout=0.0)


def make_classifier(layer):
    model = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), layer, keras.layers.Dense(3)]
    )
    model.compile("adam", "mse")
    return model


def fit(model):
    x = images(8).numpy()
    model.fit(x, np.ones((8, 3), "float32"), shuffle=False, verbose=0)


def assert_same(model, other):
    for v, w in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(v, w)
        assert v.trainable == w.trainable
    np.testing.assert_array_equal(
        model.predict(images(), verbose=0), other.predict(images(), verbose=0)
    )


def reload(model, tmp_path, folder=None):
    """Save, remove the SavedModel's folder, and load."""
    model.save(tmp_path / "model.keras")
    if folder:
        shutil.rmtree(folder)
    return keras.models.load_model(tmp_path / "model.keras")


def test_training_goes_on_without_the_handle(tmp_path, folder):
    model = make_classifier(HubLayer(folder, trainable=True))
    fit(model)
    again = reload(model, tmp_path, folder)
    assert_same(model, again)
    state = model.optimizer.variables
    for v, w in zip(state, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(v, w)
    fit(model)
    fit(again)
    assert_same(model, again)
    third = reload(again, tmp_path)
    fit(again)
    fit(third)
    assert_same(again, third)


def test_load_in_a_fresh_process(tmp_path, folder):
    model = make_classifier(HubLayer(folder, trainable="block"))
    fit(model)
    model.save(tmp_path / "model.keras")
    shutil.rmtree(folder)
    np.save(tmp_path / "expected.npy", model.predict(images(), verbose=0))
    code = (
        "import sys, keras, numpy as np\n"
        "import keras_transfer.backbones.hub_layer\n"
        "from tests.backbones.saved_models import images\n"
        "model = keras.models.load_model('model.keras')\n"
        "expected = np.load('expected.npy')\n"
        "actual = model.predict(images(), verbose=0)\n"
        "np.testing.assert_array_equal(actual, expected)\n"
        "assert 'tensorflow_hub' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True
    )


def choose_gamma(layer):
    named = layer.named_variables
    layer.train_variables([w for n, w in named if "gamma" in n])


def freeze(layer):
    layer.trainable = False


@pytest.mark.parametrize(
    "trainable, change, rule, chosen",
    [
        (True, None, "train", 4),
        ("block_2", None, "train", 1),
        ("block_2", freeze, "train", 1),
        (True, choose_gamma, "frozen", 4),
        (False, choose_gamma, "frozen", 4),
    ],
)
def test_what_trains_is_saved(
    tmp_path, folder, trainable, change, rule, chosen
):
    layer = HubLayer(folder, trainable=trainable)
    if change:
        change(layer)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layer])
    again = reload(model, tmp_path)
    assert_same(model, again)
    [layer] = again.layers
    assert layer.batch_norm == rule
    layer.trainable = False
    layer.trainable = True
    assert len(layer.trainable_variables) == chosen


def test_state_that_is_not_listed_is_saved(tmp_path):
    folder = saved_models.save_conv_net(tmp_path / "net", list_statistics=False)
    model = make_classifier(HubLayer(folder, trainable=True))
    assert len(model.layers[0].weights) == 6
    fit(model)
    assert_same(model, reload(model, tmp_path))


def test_variables_created_in_another_order(tmp_path, folder):
    """As another version of TensorFlow might."""
    model = make_classifier(HubLayer(folder, trainable=True))
    fit(model)
    model.save(tmp_path / "model.keras")
    shutil.rmtree(folder)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    variables = config["config"]["layers"][1]["build_config"]["variables"]
    positions = [variable[-1] for variable in variables]
    for variable, position in zip(variables, positions[::-1], strict=True):
        variable[-1] = position
    content["config.json"] = json.dumps(config)
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    again = keras.models.load_model(tmp_path / "other.keras")
    assert_same(model, again)
    fit(model)
    fit(again)
    assert_same(model, again)


def test_folder_removed_before_saving(tmp_path, folder):
    model = make_classifier(HubLayer(folder, trainable=True))
    fit(model)
    shutil.rmtree(folder)
    again = reload(model, tmp_path)
    assert_same(model, again)
    fit(model)
    fit(again)
    assert_same(model, again)


@pytest.mark.parametrize(
    "save", [saved_models.save_signature_only, saved_models.save_tf1_module]
)
def test_inference_only_modules(tmp_path, save):
    layer = HubLayer(save(tmp_path / "hub"))
    [size] = layer.saved_input_shape
    model = keras.Sequential([keras.Input((size,)), layer])
    x = tf.random.stateless_normal([2, size], [1, 2])
    expected = model.predict(x, verbose=0)
    layer.weights[0].assign(2 * layer.weights[0])
    again = reload(model, tmp_path, tmp_path / "hub")
    np.testing.assert_allclose(again.predict(x, verbose=0), 2 * expected)
    third = reload(again, tmp_path)
    np.testing.assert_allclose(third.predict(x, verbose=0), 2 * expected)


def test_nested_and_dict_outputs(tmp_path):
    folder = saved_models.save_dict_module(tmp_path / "dict")
    inputs = {
        name: keras.Input((7,), dtype="int32", name=name)
        for name in ("ids", "mask")
    }
    encoder = keras.Model(inputs, HubLayer(folder, trainable=True)(inputs))
    outputs = keras.layers.Dense(2)(encoder(inputs)["pooled"])
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    x = {name: tf.ones([3, 7], tf.int32) for name in inputs}
    model.fit(x, tf.ones([3, 2]), verbose=0)
    again = reload(reload(model, tmp_path, folder), tmp_path)
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), again.predict(x, verbose=0)
    )


@keras.saving.register_keras_serializable("keras_transfer_tests")
class Subclassed(keras.Model):
    def __init__(self, hub, **kwargs):
        super().__init__(**kwargs)
        self.hub = hub
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(self.hub(inputs))

    def get_config(self):
        hub = keras.saving.serialize_keras_object(self.hub)
        return {**super().get_config(), "hub": hub}

    @classmethod
    def from_config(cls, config):
        hub = keras.saving.deserialize_keras_object(config.pop("hub"))
        return cls(hub, **config)


def test_subclassed_model(tmp_path, folder):
    model = Subclassed(HubLayer(folder, trainable=True))
    model.compile("adam", "mse")
    fit(model)
    again = reload(model, tmp_path, folder)
    assert_same(model, again)
    fit(model)
    fit(again)
    assert_same(model, again)


def test_weights_file(tmp_path, folder):
    model = make_classifier(HubLayer(folder, trainable=True))
    fit(model)
    model.save_weights(tmp_path / "model.weights.h5")
    other = make_classifier(HubLayer(folder, trainable=True))
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same(model, other)


def test_layer_from_its_config(folder):
    layer = HubLayer(folder, trainable="block", name="hub")
    copy = HubLayer.from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(copy(images()), layer(images()))
    assert copy.get_config() == layer.get_config()
    assert copy.weights[0] is not layer.weights[0]
    assert len(copy.trainable_variables) == 2


def test_clone_has_the_weights_of_the_saved_model(tmp_path, folder):
    expected = tf.saved_model.load(folder)(images(), training=False)
    model = make_classifier(HubLayer(folder, trainable=True))
    fit(model)
    again = reload(model, tmp_path, folder)
    nested = keras.Sequential([again])
    nested.build((None, SIZE, SIZE, 3))
    for clone in (
        keras.models.clone_model(again),
        keras.models.clone_model(nested).layers[0],
    ):
        np.testing.assert_array_equal(clone.layers[0](images()), expected)
        clone.set_weights(again.get_weights())
        assert_same(clone, again)


def test_configuration_without_the_saved_model(tmp_path, folder):
    model = make_classifier(HubLayer(folder, trainable=True))
    fit(model)
    text = model.to_json()
    model.save_weights(tmp_path / "model.weights.h5")
    with_handle = keras.models.model_from_json(text)
    with_handle.load_weights(tmp_path / "model.weights.h5")
    assert_same(model, with_handle)
    del model, with_handle
    shutil.rmtree(folder)
    without = keras.models.model_from_json(text)
    without.load_weights(tmp_path / "model.weights.h5")
    assert without.output_shape == (None, 3)
    message = "has no SavedModel.*does not exist"
    with pytest.raises(ValueError, match=message):
        without(images())
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        without.predict(images(), verbose=0)
    with pytest.raises(ValueError, match=message):
        without.save(tmp_path / "model.keras")


def test_export(tmp_path, folder):
    model = make_classifier(HubLayer(folder, trainable=True))
    fit(model)
    expected = model.predict(images(), verbose=0)
    again = reload(model, tmp_path, folder)
    for n, exported in enumerate((model, again)):
        target = str(tmp_path / f"export_{n}")
        exported.export(target, verbose=False)
        served = tf.saved_model.load(target)
        np.testing.assert_allclose(served.serve(images()), expected, atol=1e-6)


def test_export_takes_lookup_tables_along(tmp_path):
    folder = saved_models.save_text_embedding(
        tmp_path / "text", tmp_path / "vocabulary.txt"
    )
    model = keras.Sequential(
        [keras.Input((), dtype="string"), HubLayer(folder)]
    )
    words = tf.constant(["green", "mauve", "red"])
    expected = model.predict(words, verbose=0)
    again = reload(model, tmp_path, folder)
    (tmp_path / "vocabulary.txt").unlink()
    np.testing.assert_array_equal(again.predict(words, verbose=0), expected)
    again.export(tmp_path / "export", verbose=False)
    del again
    served = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_array_equal(served.serve(words), expected)
