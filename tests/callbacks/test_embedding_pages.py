"""The projector: the same validation examples before and after training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins import projector

import keras_transfer as kt
from keras_transfer.caching.answers import collect_answers
from keras_transfer.callbacks.embedding_pages import EmbeddingPages

NAMES = ["ant", "bee", "cow"]


def images(count=30, seed=0):
    x = np.random.default_rng(seed).uniform(0, 255, (count, 8, 8, 3))
    return x.astype("float32"), np.arange(count) % 3


def build(**options):
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Conv2D(5, 3, activation="relu"),
        ]
    )
    return kt.build_classifier(kt.load_backbone(network), NAMES, **options)


def embed(model, x):
    """Compute by hand what enters the head."""
    features = model.get_layer("backbone").predict(x, verbose=0)
    return features.mean(axis=(1, 2))


def fit(model, folder, data, **options):
    model.compile("sgd", options.pop("loss", "sparse_categorical_crossentropy"))
    board = kt.TransferBoard(folder, validation_data=data, **options)
    train = data if isinstance(data, tuple) else images()
    model.fit(
        *train, validation_data=data, epochs=2, callbacks=[board], verbose=0
    )
    return board


def read(folder):
    """Read the points by their names, and what is known of each."""
    folder /= "projector"
    text = (folder / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector.ProjectorConfig())
    points = {
        each.tensor_name: np.loadtxt(folder / each.tensor_path, delimiter="\t")
        for each in config.embeddings
    }
    table = (folder / "metadata.tsv").read_text().splitlines()
    return points, [line.split("\t") for line in table]


def test_points_are_embeddings_before_and_after(tmp_path):
    model, (x, y) = build(), images()
    kt.set_trainable(model, "all")
    before = embed(model, x)
    fit(model, tmp_path, (x, y))
    points, table = read(tmp_path)
    assert list(points) == ["before training", "after training"]
    found = points.values()
    for part, expected in zip(found, (before, embed(model, x)), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-3)
    assert np.abs(np.subtract(*found)).max() > 1e-3
    guesses = model.predict(x, verbose=0).argmax(1)
    assert table[0] == ["class", "predicted", "right"]
    assert table[1:] == [
        [NAMES[true], NAMES[guess], "yes" if true == guess else "no"]
        for true, guess in zip(y, guesses, strict=True)
    ]
    assert (tmp_path / "projector" / "sprite.png").exists()
    assert list((tmp_path / "projector").glob("events*"))


@pytest.mark.parametrize("cache", ["auto", False])
def test_with_a_cache_and_without_they_are_the_same(tmp_path, cache):
    model, data = build(dropout=0), images()
    before = embed(model, data[0])
    kt.fine_tune(
        model,
        images(40, seed=1),
        data,
        strategy=[kt.Phase("head", 2, 0.01), kt.Phase("all", 1, 0.1)],
        log_dir=tmp_path,
        cache=cache,
        verbose=0,
    )
    points, _ = read(tmp_path)
    np.testing.assert_allclose(points["before training"], before, rtol=1e-3)
    np.testing.assert_allclose(
        points["after training"], embed(model, data[0]), rtol=1e-3
    )


def test_no_more_than_the_limit_are_shown(tmp_path):
    x, y = images(41)
    y = np.sort(y)
    fit(build(), tmp_path, (x, y), projector_limit=3)
    points, table = read(tmp_path)
    assert [len(part) for part in points.values()] == [3, 3]
    # The first, the last, and what is between them.
    assert [row[0] for row in table[1:]] == ["ant", "bee", "cow"]


def test_there_may_be_none(tmp_path):
    fit(build(), tmp_path / "unwanted", images(), projector_limit=0)
    shuffled = tf.data.Dataset.from_tensor_slices(images()).shuffle(30).batch(8)
    fit(build(), tmp_path / "shuffled", shuffled)
    for run in tmp_path.iterdir():
        assert not (run / "projector").exists()


def test_a_regression_model_has_none(tmp_path):
    x, _ = images()
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    fit(model, tmp_path, (x, np.linspace(0, 9, 30)), loss="mse")
    assert not (tmp_path / "projector" / "projector_config.pbtxt").exists()


def test_examples_may_have_several_classes(tmp_path):
    labels = np.eye(3)[np.arange(30) % 3] + np.eye(3)[0]
    model = build(multi_label=True)
    fit(
        model,
        tmp_path,
        (images()[0], labels.clip(0, 1)),
        loss="binary_crossentropy",
    )
    _, table = read(tmp_path)
    assert [row[0] for row in table[1:4]] == ["ant", "ant, bee", "ant, cow"]


def test_guesses_read_logits(tmp_path):
    layers = [keras.layers.Conv2D(1, 1), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(1))
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    # Between 0 and 0.5: a yes as a logit, a no as a probability.
    model.layers[-1].set_weights([np.zeros((64, 1)), np.array([0.3])])
    data = np.zeros((30, 8, 8, 3), "float32"), np.ones(30)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    fit(model, tmp_path, data, loss=loss, class_names=NAMES[:2])
    _, [_, *table] = read(tmp_path)
    assert table == [["bee", "bee", "yes"]] * 30


def test_what_has_many_features_is_written_with_fewer(tmp_path):
    x = np.random.default_rng(0).normal(size=(9, 46, 46, 1))
    layers = [keras.layers.Conv2D(1, 1), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(3, activation="softmax"))
    model = keras.Sequential([keras.Input((46, 46, 1)), *layers])
    fit(model, tmp_path, (x, np.arange(9) % 3))
    points, _ = read(tmp_path)
    assert points["before training"].shape == (9, 9)


class Kill(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_resumed_training_keeps_the_points_of_its_start(tmp_path):
    model, data = build(), images()
    before = embed(model, data[0])

    def train(model, *callbacks):
        return kt.fine_tune(
            model,
            images(40, seed=1),
            data,
            strategy=[kt.Phase("all", 3, 0.1)],
            log_dir=tmp_path,
            resume=True,
            callbacks=callbacks,
            verbose=0,
        )

    with pytest.raises(KeyboardInterrupt):
        train(model, Kill())
    assert not (tmp_path / "projector" / "projector_config.pbtxt").exists()
    train(build())
    points, _ = read(tmp_path)
    np.testing.assert_allclose(points["before training"], before, rtol=1e-3)
    assert np.abs(points["after training"] - before).max() > 1e-3


@pytest.mark.parametrize("limit", [20, 10])
def test_a_training_goes_on_with_as_many_examples(tmp_path, limit):
    model, data = build(), images()
    model.compile("sgd", "sparse_categorical_crossentropy")
    EmbeddingPages(model, data, tmp_path, 10).begin(has_resumed=False)
    before = (tmp_path / "before_training.tsv").read_bytes()
    model.set_weights([0.5 * weight for weight in model.get_weights()])
    pages = EmbeddingPages(model, data, tmp_path, limit)
    if limit == 10:
        pages.begin(has_resumed=True)
        assert pages.end(collect_answers(model, data), NAMES)
    else:
        with pytest.raises(ValueError, match="Received: 20 .* 10 have been"):
            pages.begin(has_resumed=True)
    assert (tmp_path / "before_training.tsv").read_bytes() == before


def test_a_board_may_go_on_with_another_model(tmp_path):
    data = images()
    board = fit(build(), tmp_path, data)
    other = build()
    other.set_weights([0.5 * weight for weight in other.get_weights()])
    before = embed(other, data[0])
    other.compile("sgd", "sparse_categorical_crossentropy")
    for _ in range(2):
        other.fit(*data, callbacks=[board], verbose=0)
    points, _ = read(tmp_path)
    np.testing.assert_allclose(points["before training"], before, rtol=1e-3)
    after = embed(other, data[0])
    np.testing.assert_allclose(points["after training"], after, rtol=1e-3)
