import numpy as np

from keras_transfer.forgetting.merge_memories import merge_memories


def memory(labels, start):
    x = np.arange(start, start + len(labels))
    return x[:, None], np.array(labels, "int32")


def test_the_first_of_each_class_are_kept_in_turn():
    old = memory([0, 0, 0, 1, 1, 1], 0)
    new = memory([1, 1, 2, 2, 2, 2], 100)
    x, y = merge_memories(old, new, 3)
    assert y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert x[:, 0].tolist() == [0, 1, 2, 3, 100, 4, 102, 103, 104]
    assert merge_memories(old, new, 1)[0][:, 0].tolist() == [0, 3, 102]
    assert len(merge_memories(old, new, 9)[1]) == 12


def test_what_there_is_too_little_of_leaves_its_room():
    x, y = merge_memories(memory([5], 0), memory([5, 5, 5], 100), 3)
    assert x[:, 0].tolist() == [0, 100, 101]
    assert y.dtype == "int32"


def test_sample_weights_stay_with_their_examples():
    old = *memory([0, 1], 0), np.array([0.0, 0.1])
    new = *memory([0, 1], 10), np.array([1.0, 1.1])
    x, _, weight = merge_memories(old, new, 2)
    assert x[:, 0].tolist() == [0, 10, 1, 11]
    assert weight.tolist() == [0.0, 1.0, 0.1, 1.1]
