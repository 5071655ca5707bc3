import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching.cut import NoCutError
from keras_transfer.caching.feature_table import fill_feature_table
from keras_transfer.data.array_batches import batch_arrays

X = (np.arange(50)[:, None] * [1, 2]).astype("float32")
Y = np.arange(50)


def double(x):
    return {"twice": 2 * x}


def read(dataset):
    """Return the labels of one epoch, checking the features."""
    labels = []
    for features, y, *_ in dataset:
        np.testing.assert_array_equal(
            features["twice"], 2 * X[y.numpy()], strict=False
        )
        labels.append(y.numpy().tolist())
    return labels


def test_arrays_keep_the_order_of_each_epoch():
    """The same seeds give the same epochs, from either data set."""
    plain, cached = (
        batch_arrays((X, Y), 8, shuffle=True, seed=1) for _ in range(2)
    )
    table = fill_feature_table(double, cached)
    dataset = table.make_dataset()
    expected = [[y.numpy().tolist() for _, y in plain] for _ in range(3)]
    assert [read(dataset) for _ in range(2)] == expected[:2]
    # The data set itself goes on where the cached one was.
    assert [y.numpy().tolist() for _, y in cached] == expected[2]
    assert table.bytes == 50 * (2 * 4 + 8)


def test_other_data_keeps_its_order_and_its_weights():
    data = tf.data.Dataset.from_tensor_slices((X, Y, X[:, 0])).batch(8)
    dataset = fill_feature_table(double, data).make_dataset()
    expected = [y.numpy().tolist() for _, y, _ in data]
    assert read(dataset) == read(dataset) == expected
    for _, y, weight in dataset:
        np.testing.assert_array_equal(y, weight)


@pytest.mark.parametrize("known", [True, False])
def test_other_data_that_shuffles_is_shuffled_globally(known):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(5).batch(8)
    if not known:
        data = data.filter(lambda x, y: True)
    table = fill_feature_table(double, data)
    dataset = table.reshuffle(7).make_dataset()
    epochs = [read(dataset) for _ in range(3)]
    later = table.reshuffle(7, epochs=iter([2])).make_dataset()
    assert read(later) == epochs[2]
    assert len({str(epoch) for epoch in epochs}) == 3
    for epoch in epochs:
        assert sorted(sum(epoch, [])) == Y.tolist()
        assert [len(batch) for batch in epoch] == [8] * 6 + [2]
    # A buffer of 5 would leave the first examples in the first batch.
    assert max(max(epoch[0]) for epoch in epochs) > 20


def test_features_of_features():
    data = batch_arrays((X, Y), 8, shuffle=True, seed=1)
    table = fill_feature_table(lambda x: {"half": x / 2}, data)
    table = table.transform(lambda features: double(2 * features["half"]))
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


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Ordered, "other batches in each epoch"),
        (ragged, "ragged or sparse"),
        (augmented, "differs from one pass to the next"),
        (lambda: sized(4, 3, 4), "different sizes"),
        (shaped, "different shapes"),
        (sized, "no examples"),
    ],
)
def test_what_a_table_cannot_stand_for(make, reason):
    with pytest.raises(NoCutError, match=reason):
        fill_feature_table(double, make())


def test_it_must_fit_into_memory():
    data = batch_arrays((X, Y), 8)
    needed = 2 * 50 * (2 * 4 + 8)
    fill_feature_table(double, data, memory_limit=needed)
    with pytest.raises(NoCutError, match="0 MB of memory would be needed"):
        fill_feature_table(double, data, memory_limit=needed - 1)
    # Known to be too large with the first batch.
    seen = []

    def watch():
        for n in range(100):
            seen.append(n)
            yield X, Y

    spec = (tf.TensorSpec((None, 2)), tf.TensorSpec((None,)))
    data = tf.data.Dataset.from_generator(watch, output_signature=spec)
    data = data.apply(tf.data.experimental.assert_cardinality(100))
    with pytest.raises(NoCutError):
        fill_feature_table(double, data, memory_limit=needed * 50)
    assert len(seen) < 9
