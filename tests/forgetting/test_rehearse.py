import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.forgetting.rehearse import rehearse
from tests.networks import tiny_backbone


def arrays(count, start=0):
    x = np.arange(start, start + count, dtype="float32")[:, None] * [1, 1]
    return x.astype("float32"), np.arange(start, start + count) % 3


def as_batches(data, batch_size=8):
    return tf.data.Dataset.from_tensor_slices(data).batch(batch_size)


def read(dataset):
    """Return the number of each example, batch by batch, of one epoch."""
    return [x[:, 0].numpy().astype(int).tolist() for x, *_ in dataset]


NEW, OLD = 22, 7  # numbers of old examples begin at 1000


@pytest.mark.parametrize("kind", ["arrays", "dataset", "ours"])
@pytest.mark.parametrize(("ratio", "batch_size"), [(0.5, 8), (0.3, 10)])
def test_an_epoch_is_one_pass_over_the_new_data(kind, ratio, batch_size):
    new, old = arrays(NEW), arrays(OLD, 1000)
    if kind == "dataset":
        new, old = as_batches(new), as_batches(old)
    elif kind == "ours":
        new, old = (
            batch_arrays(part, 5, shuffle=True, seed=0) for part in (new, old)
        )
    mixed = rehearse(new, old, ratio, batch_size=batch_size, seed=1)
    old_each = round(ratio * batch_size)
    seen, orders = [], []
    for _ in range(6):
        batches = read(mixed)
        assert len(batches) == int(mixed.cardinality())
        for batch in batches[:-1]:
            assert len(batch) == batch_size
            assert sum(number >= 1000 for number in batch) == old_each
        last = sum(number >= 1000 for number in batches[-1])
        assert 0 < last <= old_each
        flat = sum(batches, [])
        orders.append([number for number in flat if number < 1000])
        seen += [number for number in flat if number >= 1000]
        assert sorted(orders[-1]) == list(range(NEW))
    assert len({tuple(order) for order in orders}) == 6


def test_old_examples_are_used_up_before_they_come_again():
    mixed = rehearse(arrays(6), arrays(OLD, 1000), 0.5, batch_size=4)
    seen = []
    while len(seen) < 4 * OLD:
        # Within a batch, new and old are mixed: they count as a set.
        for batch in read(mixed):
            seen.append({n for n in batch if n >= 1000})
    # Two a batch, and seven in all: after 7 batches, each twice.
    counts = {}
    for batch in seen[:7]:
        for number in batch:
            counts[number] = counts.get(number, 0) + 1
    assert len(counts) == OLD and max(counts.values()) <= 2
    first = set().union(*seen[:3])
    assert len(first) == 6


def test_the_seed_decides_the_order():
    def epochs(seed):
        mixed = rehearse(arrays(NEW), arrays(OLD, 1000), seed=seed)
        return [read(mixed) for _ in range(3)]

    keras.utils.set_random_seed(1)
    first = epochs(4)
    keras.utils.set_random_seed(2)
    assert epochs(4) == first
    assert epochs(5) != first


def test_examples_keep_their_labels_and_weights():
    new, old = arrays(NEW), arrays(OLD, 1000)
    mixed = rehearse(
        (*new, np.full(NEW, 2.0, "float32")),
        as_batches((*old, np.full(OLD, 0.5, "float32"))),
    )
    for x, y, weight in mixed:
        numbers = x[:, 0].numpy()
        assert np.array_equal(y, numbers % 3)
        assert np.array_equal(weight, np.where(numbers < 1000, 2, 0.5))


def test_the_batch_size_is_that_of_the_new_data():
    old = arrays(OLD, 1000)
    for new in (
        as_batches(arrays(NEW), 6),
        as_batches(arrays(NEW), 6).prefetch(1),
        batch_arrays(arrays(NEW), 6, shuffle=True),
    ):
        assert [len(b) for b in read(rehearse(new, old))] == [6] * 7 + [2]
    assert len(read(rehearse(arrays(NEW), old))[0]) == 32


def test_a_memory_is_all_that_is_used():
    mixed = rehearse(arrays(40), arrays(50, 1000), memory=5, batch_size=8)
    seen = {n for _ in range(3) for n in sum(read(mixed), []) if n >= 1000}
    assert len(seen) == 5


def test_names_of_classes_are_kept():
    new, old = as_batches(arrays(NEW)), as_batches(arrays(OLD, 1000))
    assert not hasattr(rehearse(new, old), "class_names")
    new.class_names = ["a", "b", "c"]
    assert rehearse(new, old).class_names == ["a", "b", "c"]
    old.class_names = ["a", "c", "b"]
    with pytest.raises(ValueError, match="the same classes"):
        rehearse(new, old)


def pictures(count, seed):
    random = np.random.default_rng(seed)
    x = random.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    return x, np.arange(count) % 3


def test_a_frozen_prefix_is_cached_in_that_order():
    backbone = tiny_backbone()
    mixed, twin = (
        rehearse(pictures(20, 0), pictures(9, 1), batch_size=6, seed=3)
        for _ in range(2)
    )
    cached = kt.cache_features(backbone, mixed)
    for _ in range(2):
        for (features, labels), (x, y) in zip(cached, twin, strict=True):
            expected = backbone.model(backbone.preprocess(x), training=False)
            np.testing.assert_allclose(features, expected, atol=1e-4)
            assert np.array_equal(labels, y)


def test_fine_tune_trains_on_it():
    model = kt.build_classifier(tiny_backbone(), 3)
    mixed = rehearse(pictures(20, 0), pictures(9, 1), batch_size=6)
    result = kt.fine_tune(
        model, mixed, pictures(9, 2), strategy="extraction", epochs=2
    )
    assert len(result.history["loss"]) == 2


def test_what_does_not_fit_is_refused():
    new, old = arrays(NEW), arrays(OLD)
    for ratio in (0, 1, -1, float("nan"), None):
        with pytest.raises(ValueError, match="Received: ratio="):
            rehearse(new, old, ratio)
    with pytest.raises(ValueError, match="0 of 8 would be old"):
        rehearse(new, old, 0.01, batch_size=8)
    with pytest.raises(ValueError, match="Received: memory=0"):
        rehearse(new, old, memory=0)
    with pytest.raises(ValueError, match="sample weights, or neither"):
        rehearse(new, (*old, np.ones(OLD)))
    with pytest.raises(ValueError, match="the same shapes and dtypes"):
        rehearse(new, (old[0][:, :1], old[1]))
    with pytest.raises(ValueError, match="the same shapes and dtypes"):
        rehearse(new, (old[0].astype("uint8"), old[1]))
    with pytest.raises(ValueError, match="`old` must have examples"):
        rehearse(new, as_batches(old).take(0))
    with pytest.raises(ValueError, match="`new` never ends"):
        rehearse(as_batches(new).repeat(), old)
    with pytest.raises(ValueError, match="`new` must be a tf.data.Dataset"):
        rehearse(list(new), old)
    noisy = as_batches(new).map(lambda x, y: (x + tf.random.normal([]), y))
    with pytest.raises(ValueError, match="the same examples each time"):
        rehearse(noisy, old)
