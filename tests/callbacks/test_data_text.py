"""The data summary that `TransferBoard` writes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt

NAMES = ["ant", "bee", "cow"]


def examples(count=30):
    x = np.random.default_rng(0).normal(size=(count, 6)).astype("float32")
    return x, np.minimum(np.arange(count) % 4, 2)


def build():
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(3, activation="softmax")]
    )


def summarize(folder, x, y=None, *, validation=None, loss=None, **options):
    model = build()
    model.compile("sgd", loss or "sparse_categorical_crossentropy")
    board = kt.TransferBoard(
        folder, validation_data=validation, class_names=NAMES, **options
    )
    model.fit(x, y, validation_data=validation, callbacks=[board], verbose=0)
    return kt.read_run(folder).texts.get("data")


def test_both_sides_are_counted(tmp_path):
    text = summarize(tmp_path, *examples(40), validation=examples())
    assert "| examples | 40 | 30 |" in text
    assert "| cow | 20 | 14 |" in text
    assert (
        "**Warning:** few examples to be judged by: ant (8), bee (8)." in text
    )


def test_one_hot_labels_are_counted(tmp_path):
    x, y = examples()
    y = keras.utils.to_categorical(y, 3)
    loss = "categorical_crossentropy"
    text = summarize(tmp_path, x, y, validation=(x, y), loss=loss)
    assert "| examples | 30 | 30 |" in text


def test_data_that_shuffles_is_not_read_for_it(tmp_path):
    data = tf.data.Dataset.from_tensor_slices(examples()).shuffle(30).batch(8)
    assert summarize(tmp_path / "alone", data) is None
    text = summarize(tmp_path / "both", data, validation=examples())
    assert "|  | validation |" in text.splitlines()


@pytest.mark.parametrize("shuffled", [False, True])
def test_what_is_cached_is_counted(tmp_path, shuffled):
    x, y = examples()
    data = tf.data.Dataset.from_tensor_slices((np.float32(x), y))
    data = (data.shuffle(30) if shuffled else data).batch(8)
    inputs = keras.Input((6,))
    features = keras.layers.Dense(5, name="frozen")(inputs)
    outputs = keras.layers.Dense(3, activation="softmax")(features)
    kt.fine_tune(
        keras.Model(inputs, outputs),
        data,
        strategy=[kt.Phase("head", 2, 0.1)],
        log_dir=tmp_path,
        verbose=0,
    )
    assert "| examples | 30 |" in kt.read_run(tmp_path).texts["data"]


def test_views_of_an_example_are_one(tmp_path):
    x = np.random.default_rng(0).uniform(0, 255, (30, 8, 8, 3))
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]
    )
    flip = keras.layers.RandomFlip("horizontal")
    model = kt.build_classifier(kt.load_backbone(network), 3, augmentation=flip)
    kt.fine_tune(
        model,
        tf.data.Dataset.from_tensor_slices((x, np.arange(30) % 3)).batch(8),
        strategy=[kt.Phase("head", 3, 0.1)],
        cached_views=3,
        log_dir=tmp_path,
        verbose=0,
    )
    assert "| examples | 30 |" in kt.read_run(tmp_path).texts["data"]


def test_image_folders_are_counted(tmp_path):
    train, validation = kt.load_image_folder(
        "examples/data/clipart14", image_size=(8, 8)
    )
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(14, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    board = kt.TransferBoard(tmp_path, validation_data=validation)
    model.fit(train, callbacks=[board], verbose=0)
    text = kt.read_run(tmp_path).texts["data"]
    counts = len(train.file_paths), len(validation.file_paths)
    assert "| examples | {} | {} |".format(*counts) in text
    assert "| dessert |" in text
