"""A plain Keras model from raw images to probabilities."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_transfer as kt
from keras_transfer.backbones.preprocessing import make_preprocessing
from tests import networks


def backbone(**options):
    """Return a base with BatchNorm and dropout, and its preprocessing."""
    base = networks.conv_base()
    networks.randomize(base)
    return kt.Backbone(base, make_preprocessing("tf"), "tiny", **options)


def images(size=6, dtype="float32"):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (size, 8, 8, 3)).astype(dtype)


def augmentation():
    return [layers.RandomFlip(), layers.RandomRotation(0.3)]


def fit(model, epochs=1):
    units = model.output_shape[-1]
    y = np.random.default_rng(1).integers(0, 2, (6, units)).astype("float32")
    model.compile("adam", "mse")
    return model.fit(images(), y, epochs=epochs, verbose=0)


def test_its_parts():
    model = kt.build_classifier(
        backbone(), ["a", "b"], augmentation=augmentation()
    )
    assert isinstance(model, keras.Model)
    assert [layer.name for layer in model.layers] == [
        "input",
        "augmentation",
        "preprocessing",
        "backbone",
        "head_pooling",
        "head_dropout",
        "predictions",
    ]
    assert model.name == "base_classifier"
    assert list(model.class_names) == ["a", "b"]
    assert model.input_shape == (None, 8, 8, 3)
    assert not model.compiled


@pytest.mark.parametrize(
    ("classes", "multi_label", "units", "activation"),
    [
        (1, False, 1, "sigmoid"),
        (["cat"], False, 1, "sigmoid"),
        (2, False, 2, "softmax"),
        (["a", "b", "c"], False, 3, "softmax"),
        (4, True, 4, "sigmoid"),
    ],
)
def test_binary_several_classes_and_several_labels(
    classes, multi_label, units, activation
):
    model = kt.build_classifier(backbone(), classes, multi_label=multi_label)
    outputs = np.array(model(images()))
    assert outputs.shape == (6, units)
    assert np.all((outputs > 0) & (outputs < 1))
    sums = outputs.sum(axis=1)
    assert np.allclose(sums, 1, atol=1e-5) == (activation == "softmax")
    names = classes if isinstance(classes, list) else None
    assert model.class_names == names


def test_preprocessing_backbone_and_head_in_this_order():
    source = backbone()
    model = kt.build_classifier(source, 3)
    features = source.model(images() / 127.5 - 1)
    pooled = keras.ops.mean(features, axis=(1, 2))
    expected = model.get_layer("predictions")(pooled)
    np.testing.assert_allclose(model(images()), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int32", "int64", "float16", "float32", "float64"]
)
def test_raw_images_of_any_dtype(dtype):
    model = kt.build_classifier(backbone(), 3, augmentation=augmentation())
    expected = model(images())
    np.testing.assert_array_equal(model(images(dtype=dtype)), expected)
    predicted = model.predict(images(dtype=dtype), verbose=0)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)


def test_fit_on_a_dataset_of_bytes():
    model = kt.build_classifier(backbone(), 3, augmentation=augmentation())
    model.compile("adam", "sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices(
        (images(dtype="uint8"), np.arange(6) % 3)
    ).batch(3)
    history = model.fit(data, validation_data=data, verbose=0).history
    assert set(history) == {"loss", "val_loss"}


def test_the_head_alone_trains_at_first():
    model = kt.build_classifier(backbone(), 3)
    before = networks.values(model.weights)
    fit(model)
    head = {"predictions/kernel", "predictions/bias"}
    assert networks.moved(model.weights, before) == head


def test_the_weights_are_those_of_the_backbone():
    source = backbone()
    model = kt.build_classifier(source, 3)
    shared = {id(weight) for weight in source.model.weights}
    assert shared < {id(weight) for weight in model.weights}


def test_augmentation_is_inert_outside_fit(tmp_path):
    """Eager and compiled calls differ in the last bits: grappler fuses."""
    model = kt.build_classifier(backbone(), 3, augmentation=augmentation())
    kt.set_trainable(model, "all", batch_norm="train")
    fit(model, epochs=2)
    eager = np.array(model(images()))
    compiled = model.predict(images(), verbose=0)
    np.testing.assert_allclose(eager, compiled, rtol=1e-5)
    before = networks.values(model.weights)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(tmp_path / "export")
    for _ in range(3):
        np.testing.assert_array_equal(model(images()), eager)
        np.testing.assert_array_equal(loaded(images()), eager)
        for predict in (model.predict, loaded.predict):
            np.testing.assert_array_equal(
                predict(images(), verbose=0), compiled
            )
        np.testing.assert_array_equal(served.serve(images()), compiled)
    assert not networks.moved(model.weights, before)
    fit(model)
    np.testing.assert_array_equal(model(images()), model(images()))


def test_augmentation_draws_in_fit_though_all_below_the_head_is_frozen():
    model = kt.build_classifier(backbone(), 3, augmentation=augmentation())
    kt.set_trainable(model, "head")
    model.get_layer("head_dropout").rate = 0.0
    first, second = (np.array(model(images(), training=True)) for _ in "ab")
    assert not np.allclose(first, second)
    without = kt.build_classifier(backbone(), 3, dropout=0)
    np.testing.assert_array_equal(
        without(images(), training=True), without(images())
    )


def test_dropout_of_the_head_draws_in_training():
    model = kt.build_classifier(backbone(), 3, dropout=0.5)
    assert model.get_layer("head_dropout").rate == 0.5
    assert not np.allclose(model(images(), training=True), model(images()))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("own_head", [False, True])
def test_mixed_precision(policy, own_head):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        head = layers.Dense(3, activation="softmax") if own_head else None
        model = kt.build_classifier(
            backbone(), 3, head=head, augmentation=augmentation()
        )
        assert np.isfinite(fit(model).history["loss"][0])
    finally:
        keras.config.set_dtype_policy(before)
    outputs = model(images(dtype="uint8"))
    assert outputs.dtype == "float32"
    assert model.get_layer("backbone").output.dtype == policy[6:]
    assert model.get_layer("augmentation").compute_dtype == "float32"
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=0.02)


@pytest.mark.parametrize(
    "head",
    [
        layers.Dense(5, activation="relu"),
        [layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.3)],
        keras.Sequential([layers.Dense(5), layers.Dense(3)]),
    ],
)
def test_heads_of_ones_own(head, tmp_path):
    copy = keras.models.clone_model if isinstance(head, keras.Model) else None
    model = kt.build_classifier(
        backbone(), 3, head=copy(head) if copy else head
    )
    assert kt.layer_groups(model)[-1].name == "head"
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images()), model(images()))


@pytest.mark.parametrize("name", ["mlp", "text_rnn", "transformer"])
def test_backbones_of_other_modalities(name):
    source = networks.build(name)
    model = kt.build_classifier(kt.load_backbone(source), 4)
    x = networks.batch_for(source)
    assert model(x).shape == (6, 4)
    assert np.array(model.predict(x, verbose=0)).shape == (6, 4)


def test_a_subclassed_backbone():
    source = kt.load_backbone(
        networks.Subclassed(dropout=0.5), input_shape=(6,)
    )
    model = kt.build_classifier(source, 4, dropout=0)
    x = networks.batch_for(model)
    np.testing.assert_array_equal(model(x, training=True), model(x))
    with pytest.raises(ValueError, match="random layers"):
        kt.set_trainable(model, "top:1")


def test_two_classifiers_on_one_backbone():
    source = backbone()
    first = kt.build_classifier(source, 3)
    second = kt.build_classifier(source, 2)
    expected = np.array(second(images()))
    fit(first)
    np.testing.assert_array_equal(second(images()), expected)


def test_the_class_names_are_saved(tmp_path):
    model = kt.build_classifier(backbone(), ("x", "y"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert list(loaded.class_names) == ["x", "y"]
    assert type(loaded) is type(model)


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"backbone": "MobileNetV2"}, "backbone='MobileNetV2'"),
        ({"backbone": networks.Functional}, "backbone=<class"),
        ({"classes": 0}, "classes=0"),
        ({"classes": ["a", "a"]}, r"classes=\['a', 'a'\]"),
        ({"pooling": "sum"}, "pooling='sum'"),
        ({"pooling": None}, "shape="),
        ({"dropout": 2}, "dropout=2"),
        ({"head": 3}, "head=3"),
        ({"augmentation": "flip"}, "layer=flip"),
    ],
)
def test_wrong_arguments(options, received):
    settings = {"backbone": None, "classes": 3, **options}
    if settings["backbone"] is None:
        settings["backbone"] = backbone()
    with pytest.raises(ValueError, match=f"Received: {received}"):
        kt.build_classifier(**settings)
