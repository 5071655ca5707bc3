import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.forgetting.choose_memory import choose_memory
from keras_transfer.forgetting.rehearse import rehearse
from tests.forgetting.test_herd import brute_force
from tests.networks import tiny_backbone


def pictures(counts=(9, 4, 12)):
    random = np.random.default_rng(0)
    y = random.permutation(np.repeat(np.arange(len(counts)), counts))
    x = random.uniform(0, 255, (len(y), 8, 8, 3)).astype("float32")
    return x, y


def expected_rows(backbone, x, y, count):
    maps = backbone.model(backbone.preprocess(x), training=False)
    features = maps.numpy().mean((1, 2)).astype("float64")
    chosen = []
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        most = min(count, len(rows))
        chosen += rows[brute_force(features[rows], most)].tolist()
    return chosen


@pytest.mark.parametrize("kind", ["arrays", "dataset", "ours"])
def test_each_class_is_herded(kind):
    backbone, (x, y) = tiny_backbone(), pictures()
    data = x, y
    if kind == "dataset":
        data = tf.data.Dataset.from_tensor_slices(data).batch(7)
    elif kind == "ours":
        data = batch_arrays(data, 7, shuffle=True, seed=0)
    chosen = expected_rows(backbone, x, y, 5)
    kept = choose_memory(backbone, data, per_class=5)
    assert np.array_equal(kept[0], x[chosen])
    assert np.array_equal(kept[1], y[chosen])
    assert np.bincount(kept[1]).tolist() == [5, 4, 5]


def test_a_classifier_is_looked_at_before_its_head():
    backbone, data = tiny_backbone(), pictures()
    model = kt.build_classifier(backbone, 3)
    for one, two in zip(
        choose_memory(model, data, per_class=3),
        choose_memory(backbone, data, per_class=3),
        strict=True,
    ):
        assert np.array_equal(one, two)


def test_it_keeps_within_the_bytes():
    backbone, (x, y) = tiny_backbone(), pictures()
    size = x[0].nbytes + y[0].nbytes
    kept = choose_memory(backbone, (x, y), megabytes=17.5 * size / 1e6)
    # The second class has only four, and leaves its room to others.
    counts = np.bincount(kept[1]).tolist()
    assert sum(counts) == 17 and counts[1] == 4
    assert abs(counts[0] - counts[2]) == 1
    assert sum(part.nbytes for part in kept) <= 17.5 * size
    both = choose_memory(backbone, (x, y), megabytes=1, per_class=2)
    assert np.bincount(both[1]).tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="Received: megabytes="):
        choose_memory(backbone, (x, y), megabytes=2.5 * size / 1e6)


def test_it_can_be_rehearsed():
    new, old = pictures(), pictures()
    kept = choose_memory(tiny_backbone(), old, per_class=2)
    mixed = rehearse(new, kept, 0.25, batch_size=8)
    assert int(mixed.cardinality()) == 5


def test_what_cannot_be_chosen_from_is_refused():
    backbone, data = tiny_backbone(), pictures()
    with pytest.raises(ValueError, match="Say how much to keep"):
        choose_memory(backbone, data)
    with pytest.raises(ValueError, match="Received: per_class=0"):
        choose_memory(backbone, data, per_class=0)
    with pytest.raises(ValueError, match="Labels must be numbers"):
        choose_memory(backbone, (data[0], data[1] + 0.5), per_class=1)
    headless = keras.Model(backbone.model.input, backbone.model.output)
    with pytest.raises(ValueError, match="no head"):
        choose_memory(headless, data, per_class=1)
