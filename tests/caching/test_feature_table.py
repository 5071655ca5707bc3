import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching import feature_cache
from keras_transfer.caching.examples import OrderedExamples
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.feature_table import StoredRows
from keras_transfer.caching.fill_feature_table import (
    fill_feature_table,
    list_examples,
)
from keras_transfer.caching.fill_memory import fill_memory
from keras_transfer.caching.no_cut_error import NoCutError, NoRoomError
from keras_transfer.caching.prefix import Prefix
from keras_transfer.data.array_batches import batch_arrays

X = (np.arange(50)[:, None] * [1, 2]).astype("float32")
Y = np.arange(50)


def double(x):
    return {"twice": 2 * x}


def fill(data, function=double, **cache):
    prefix = Prefix(function, lambda: "double")
    return fill_feature_table(
        prefix, list_examples(data), FeatureCache(**cache)
    )


@pytest.fixture(params=["memory", "memory from disk", "disk"])
def where(request, tmp_path):
    """Ways to keep features."""
    if request.param == "memory":
        return {}
    limit = 0 if request.param == "disk" else None
    return {"folder": tmp_path / "kept", "memory_limit": limit}


def read(dataset):
    """Return the labels of one epoch, checking the features."""
    labels = []
    for features, y, *_ in dataset:
        np.testing.assert_array_equal(
            features["twice"], 2 * X[y.numpy()], strict=False
        )
        labels.append(y.numpy().tolist())
    return labels


def test_arrays_keep_the_order_of_each_epoch(where):
    """The same seeds give the same epochs, from either data set."""
    plain, cached = (
        batch_arrays((X, Y), 8, shuffle=True, seed=1) for _ in range(2)
    )
    table = fill(cached, **where)
    dataset = table.make_dataset()
    expected = [[y.numpy().tolist() for _, y in plain] for _ in range(3)]
    assert [read(dataset) for _ in range(2)] == expected[:2]
    # The data set itself goes on where the cached one was.
    assert [y.numpy().tolist() for _, y in cached] == expected[2]
    size = 50 * (2 * 4 + 8)
    assert table.bytes in (size, size + 50 * 4)  # with checksums


def test_other_data_keeps_its_order_and_its_weights(where):
    data = tf.data.Dataset.from_tensor_slices((X, Y, X[:, 0])).batch(8)
    dataset = fill(data, **where).make_dataset()
    expected = [y.numpy().tolist() for _, y, _ in data]
    assert read(dataset) == read(dataset) == expected
    for _, y, weight in dataset:
        np.testing.assert_array_equal(y, weight)


@pytest.mark.parametrize("known", [True, False])
def test_other_data_that_shuffles_is_shuffled_globally(known, where):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(5).batch(8)
    if not known:
        data = data.filter(lambda x, y: True)
    table = fill(data, **where)
    dataset = table.make_dataset(7)
    epochs = [read(dataset) for _ in range(3)]
    later = table.make_dataset(7, epochs=iter([2]))
    assert read(later) == epochs[2]
    assert len({str(epoch) for epoch in epochs}) == 3
    for epoch in epochs:
        assert sorted(sum(epoch, [])) == Y.tolist()
        assert [len(batch) for batch in epoch] == [8] * 6 + [2]
    # A buffer of 5 would leave the first examples in the first batch.
    assert max(max(epoch[0]) for epoch in epochs) > 20


def test_features_of_features(where):
    data = batch_arrays((X, Y), 8, shuffle=True, seed=1)
    first = fill(data, lambda x: {"half": x / 2}, **where)
    table = fill_feature_table(
        Prefix(lambda features: double(2 * features["half"]), lambda: "way"),
        OrderedExamples(first.as_order()),
        FeatureCache(**where),
    )
    table = dataclasses.replace(table, order=first.order)
    assert sorted(sum(read(table.make_dataset()), [])) == Y.tolist()


class Ordered(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, n):
        return X, Y


def ragged():
    x = tf.RaggedTensor.from_row_lengths(np.zeros(6), [1, 2, 3])
    return tf.data.Dataset.from_tensor_slices((x, [0, 1, 2])).batch(3)


def augmented():
    random = tf.random.Generator.from_seed(0)

    def shake(x, y):
        return x + random.uniform(tf.shape(x)), y

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).map(shake)


def sized(*sizes):
    def generate():
        for size in sizes:
            yield np.zeros((size, 2), "float32"), np.zeros(size)

    spec = (tf.TensorSpec((None, 2)), tf.TensorSpec((None,)))
    return tf.data.Dataset.from_generator(generate, output_signature=spec)


def shaped():
    def generate():
        for side in (2, 3):
            yield np.zeros((4, side), "float32"), np.zeros(4)

    spec = (tf.TensorSpec((None, None)), tf.TensorSpec((None,)))
    return tf.data.Dataset.from_generator(generate, output_signature=spec)


def test_data_that_shuffles_by_itself_is_shuffled_globally(where):
    def generate():
        order = np.random.permutation(50)
        for start in range(0, 50, 8):
            rows = order[start : start + 8]
            yield X[rows], Y[rows]

    spec = (tf.TensorSpec((None, 2)), tf.TensorSpec((None,), "int64"))
    data = tf.data.Dataset.from_generator(generate, output_signature=spec)
    data = data.apply(tf.data.experimental.assert_cardinality(7))
    dataset = fill(data, **where).make_dataset(3)
    first, second = read(dataset), read(dataset)
    assert first != second
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == Y.tolist()


def shortened():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(50)
    return data.batch(8, drop_remainder=True)


def endless():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (shortened, "differs from one pass to the next"),
        (endless, "never ends"),
        (Ordered, "other batches in each epoch"),
        (ragged, "ragged or sparse"),
        (augmented, "differs from one pass to the next"),
        (lambda: sized(4, 3, 4), "different sizes"),
        (shaped, "different shapes"),
        (sized, "no examples"),
    ],
)
def test_what_a_table_cannot_stand_for(make, reason, where):
    with pytest.raises(NoCutError, match=reason):
        fill(make(), **where)


def test_it_goes_where_there_is_room(monkeypatch, tmp_path):
    home = tmp_path / "home"
    monkeypatch.setattr(feature_cache, "keras_home", lambda: str(home))
    data = batch_arrays((X, Y), 8)
    needed = 2 * 50 * (2 * 4 + 8)
    assert not isinstance(fill(data, memory_limit=needed).rows, StoredRows)
    assert not home.exists()
    on_disk = fill(data, memory_limit=needed - 1)
    assert isinstance(on_disk.rows, StoredRows)
    assert home.exists()
    read(on_disk.make_dataset())
    # Half as much, where there is no room for all of it.
    home = tmp_path / "another"
    narrow = 2 * 50 * (2 * 2 + 8)
    table = fill(data, memory_limit=narrow, disk_limit=0)
    assert table.bytes == narrow / 2
    read(table.make_dataset())  # whole numbers, which float16 holds
    with pytest.raises(NoCutError, match="0.0 MB of memory would be needed"):
        fill(data, memory_limit=narrow - 1, disk_limit=0)


def test_no_room_in_memory_shows_with_the_first_batch():
    seen = []

    def watch():
        for n in range(100):
            seen.append(n)
            yield X, Y

    spec = (tf.TensorSpec((None, 2)), tf.TensorSpec((None,)))
    data = tf.data.Dataset.from_generator(watch, output_signature=spec)
    data = data.apply(tf.data.experimental.assert_cardinality(100))
    with pytest.raises(NoRoomError):
        fill_memory(
            Prefix(double, lambda: "double"),
            list_examples(data),
            FeatureCache(memory_limit=50 * 100 * (2 * 4 + 8)),
            "float32",
            verbose=False,
        )
    assert len(seen) < 9


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_shorter_floats(dtype, where):
    x = np.random.default_rng(0).normal(size=X.shape).astype("float32")
    table = fill(batch_arrays((x, Y), 8), dtype=dtype, **where)
    size = 50 * (2 * 2 + 8)
    assert table.bytes in (size, size + 50 * 4)  # with checksums
    for features, y in table.make_dataset():
        assert features["twice"].dtype == "float32"
        found, expected = features["twice"].numpy(), 2 * x[y.numpy()]
        assert not np.array_equal(found, expected)
        np.testing.assert_allclose(found, expected, rtol=1e-2)


def test_features_beyond_float16():
    def huge(x):
        return {"huge": 1e5 * x}

    data = batch_arrays((X, Y), 8)
    with pytest.raises(NoCutError, match="beyond the range of float16"):
        fill(data, huge, dtype="float16")
    limit = 2 * 50 * (2 * 2 + 8)
    table = fill(data, huge, memory_limit=limit, disk_limit=0)
    assert table.rows.columns[0]["huge"].dtype == "bfloat16"
