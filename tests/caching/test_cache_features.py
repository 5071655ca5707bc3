import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from tests import networks


def pictures():
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (20, 8, 8, 3)), np.arange(20) % 3


def test_features_of_a_backbone():
    backbone = networks.tiny_backbone()
    x, y = pictures()
    features = kt.cache_features(backbone, (x, y))
    found, labels = zip(*features, strict=True)
    expected = backbone.model(backbone.preprocess(x), training=False)
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)
    assert np.concatenate(labels).tolist() == y.tolist()


def test_features_train_a_head_of_ones_own(tmp_path):
    for colour in range(2):
        folder = tmp_path / "ab"[colour]
        folder.mkdir()
        for n in range(8):
            image = np.full((8, 8, 3), 200 * colour + n)
            keras.utils.save_img(folder / f"{n}.png", image, scale=False)
    train, validation = kt.load_image_folder(tmp_path, image_size=8)
    backbone = networks.tiny_backbone()
    head = keras.Sequential(
        [
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    head.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    features, held_back = (
        kt.cache_features(backbone, data) for data in (train, validation)
    )
    assert features.class_names == ["a", "b"]
    head.fit(features, epochs=30, verbose=0)
    assert head.evaluate(held_back, verbose=0)[1] == 1


def test_features_of_a_model_with_frozen_groups():
    model = networks.build("unet")
    x = networks.batch_for(model)
    kt.set_trainable(model, "block_[4-9].*")
    [(features, _)] = kt.cache_features(model, (x, np.zeros(len(x))))
    assert len(features) > 1 and all(len(part) == len(x) for part in features)


def test_what_cannot_be_cached_is_refused():
    model = networks.mlp()
    data = (networks.batch_for(model), np.zeros(6))
    with pytest.raises(ValueError, match="nothing that is frozen.*Received: "):
        kt.cache_features(model, data)
    kt.set_trainable(model, "head")
    nowhere = kt.FeatureCache(memory_limit=10, disk_limit=10)
    with pytest.raises(ValueError, match="MB of memory.*Received: model="):
        kt.cache_features(model, data, cache=nowhere)


@pytest.mark.parametrize(
    "options",
    [{"dtype": "int8"}, {"disk_limit": -1}, {"memory_limit": "1 GB"}],
    ids=str,
)
def test_a_cache_checks_its_arguments(options):
    [(name, value)] = options.items()
    with pytest.raises(ValueError, match=f"Received: {name}={value!r}"):
        kt.FeatureCache(**options)


def test_features_in_a_folder_are_found_again(tmp_path):
    x, y = pictures()

    def features(seed, rows=slice(None), **options):
        keras.utils.set_random_seed(seed)
        data = kt.cache_features(
            networks.tiny_backbone(), (x[rows], y[rows]), **options
        )
        return np.concatenate([found for found, _ in data])

    def files():
        return set(tmp_path.glob("*/*.features"))

    first = features(0, cache=tmp_path)
    np.testing.assert_array_equal(first, features(0))
    kept = files()
    assert len(kept) == 1
    # The same weights, in another model, and only some of the examples.
    some = features(0, slice(3, 9), cache=tmp_path)
    np.testing.assert_array_equal(some, first[3:9])
    assert files() == kept
    # Other weights, another precision, another engine.
    assert not np.allclose(features(1, cache=tmp_path), first)
    short = kt.FeatureCache(tmp_path, dtype="float16")
    features(0, cache=short)
    features(0, cache=tmp_path, engine="tensorflow")
    assert len(files()) == 4


def test_labels_in_a_list(tmp_path):
    x, y = pictures()
    backbone = networks.tiny_backbone()
    for cache in (None, tmp_path):
        data = kt.cache_features(backbone, (x, y.tolist()), cache=cache)
        labels = np.concatenate([labels for _, labels in data])
        assert labels.tolist() == y.tolist()


def test_data_that_shuffles_behind_its_first_batch_is_shuffled():
    x, y = pictures()
    random = np.random.default_rng(0)

    def shuffle():
        for row in [*range(8), *(8 + random.permutation(12))]:
            yield x[row], y[row]

    spec = tf.TensorSpec((8, 8, 3), "float64"), tf.TensorSpec((), "int64")
    data = tf.data.Dataset.from_generator(shuffle, output_signature=spec)
    data = data.batch(4)
    orders = []
    features = kt.cache_features(networks.tiny_backbone(), data)
    for _ in range(2):
        rows = np.concatenate([x for x, _ in features]).reshape(20, -1)
        orders.append(rows.tolist())
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(set(map(tuple, orders[0]))) == 20


def test_data_that_changes_behind_its_first_batch_is_refused():
    x, y = pictures()
    rest = tf.data.Dataset.from_tensor_slices((x, y)).repeat(3).batch(8)
    random = tf.random.Generator.from_seed(0)

    def blur(number, example):
        noise = random.normal([], dtype="float64") * tf.cast(
            number > 5, "float64"
        )
        return example[0] + noise, example[1]

    data = rest.enumerate().map(blur)
    with pytest.raises(ValueError, match="the data differs from one pass"):
        kt.cache_features(networks.tiny_backbone(), data)
