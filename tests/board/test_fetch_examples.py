import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.board.fetch_examples import (
    count_examples,
    fetch_images,
    fetch_inputs,
    keeps_order,
    look_at_batch,
    spread_rows,
)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return -(-len(self.x) // 8)

    def __getitem__(self, index):
        rows = slice(8 * index, 8 * index + 8)
        return self.x[rows], self.y[rows]


def arrays(count=75):
    x = np.arange(count * 48, dtype="float32").reshape(count, 4, 4, 3)
    return x, np.arange(count)


def kinds():
    x, y = arrays()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    unknown = dataset.filter(lambda x, y: True)
    return {
        "arrays": (x, y),
        "dataset": dataset,
        "unknown length": unknown,
        "PyDataset": Batches(x, y),
    }


KINDS = ["arrays", "dataset", "unknown length", "PyDataset"]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_found_in_batches(kind):
    x, _ = arrays()
    rows = [0, 7, 8, *range(20, 60), 74]
    found = list(fetch_inputs(kinds()[kind], rows))
    assert [len(part) for part in found] == [32, 12]
    np.testing.assert_array_equal(np.concatenate(found), x[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_examples_are_counted(kind):
    assert count_examples(kinds()[kind]) == 75


class Cached(list):
    """TensorFlow warns of cached data that is not read to its end."""

    ends = 0

    def __iter__(self):
        yield from super().__iter__()
        self.ends += 1


def test_data_is_read_to_its_end():
    data = Cached(kinds()["dataset"])
    [found] = fetch_inputs(data, [3, 9])
    np.testing.assert_array_equal(found, arrays()[0][[3, 9]])
    assert data.ends == 1


def test_structures_stay_what_they_are():
    x, y = arrays()
    [inputs] = fetch_inputs(({"image": x, "size": y}, y), [2, 70])
    assert inputs["size"].tolist() == [2, 70]
    np.testing.assert_array_equal(inputs["image"], x[[2, 70]])


def test_rows_of_pandas_are_their_places():
    x, y = arrays()
    frame = pd.DataFrame(x[:, 0, 0], index=y[::-1])
    [found] = fetch_inputs((frame, pd.Series(y, index=y[::-1])), [2, 70])
    np.testing.assert_array_equal(found, x[[2, 70], 0, 0])


def test_images_may_have_another_size_in_each_batch():
    sides = [4, 4, 6, 5]
    batches = [
        (np.full((8, side, side, 3), n, "float32"), np.arange(8))
        for n, side in enumerate(sides)
    ]
    found = list(fetch_inputs(batches, [1, 7, 9, 17, 31]))
    assert [part.shape[:2] for part in found] == [(3, 4), (1, 6), (1, 5)]
    images = fetch_images(batches, [31, 1])
    assert [image.max() for image in images] == [3, 0]


def test_spread_rows_reach_from_the_first_to_the_last():
    assert spread_rows(3, 10).tolist() == [0, 1, 2]
    assert spread_rows(101, 5).tolist() == [0, 25, 50, 75, 100]
    assert spread_rows(0, 5).tolist() == []


def test_images_come_in_the_order_asked_for():
    x, y = arrays()
    found = fetch_images((x, y), [70, 3, 70])
    np.testing.assert_array_equal(found, x[[70, 3, 70]])
    assert fetch_images((x, y), []) == []


def test_what_is_no_image_is_not_found():
    x, y = arrays()
    assert fetch_images((x[..., :2], y), [1]) is None
    assert fetch_images((x.reshape(75, -1), y), []) is None
    assert fetch_images(({"image": x}, y), [1]) is None


def test_shuffled_data_does_not_keep_its_order(tmp_path):
    data = kinds()["dataset"]
    assert keeps_order(data)
    shuffled = data.unbatch().shuffle(75).batch(8)
    assert not keeps_order(shuffled)
    assert fetch_images(shuffled, [1]) is None


class Shuffled(Batches):
    def on_epoch_end(self):
        """Shuffle, as Keras's guide has it."""


def test_what_may_happen_between_epochs_is_known():
    data = Shuffled(*arrays())
    assert not keeps_order(data) and fetch_images(data, [1]) is None
    data.shuffle = False
    assert keeps_order(data)
    data.shuffle = True
    assert not keeps_order(data)


def test_data_without_examples_is_said():
    empty = Batches(*arrays(0))
    with pytest.raises(ValueError, match="no examples. Received: data="):
        look_at_batch(empty)


def test_the_order_of_image_folders_is_known():
    folder = "examples/data/clipart14"
    train, validation = kt.load_image_folder(folder, image_size=(8, 8))
    assert keeps_order(validation) and not keeps_order(train)
    assert count_examples(validation) == len(validation.file_paths)
    assert len(fetch_images(validation, [0, 100])) == 2
