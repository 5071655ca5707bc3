import numpy as np
import tensorflow as tf

from keras_transfer.data.example_digests import digest_examples, digest_views


def test_the_same_examples_have_the_same_digests():
    x = np.arange(12, dtype="float32").reshape(6, 2)
    whole = digest_examples((x, np.arange(6)))
    parts = [digest_examples((x[n::2], np.arange(6)[n::2])) for n in (0, 1)]
    assert whole[::2].tolist() == parts[0].tolist()
    assert whole[1::2].tolist() == parts[1].tolist()
    assert len(set(whole.tolist())) == 6
    tensors = digest_examples((tf.constant(x), tf.range(6, dtype="int64")))
    assert tensors.tolist() == whole.tolist()


def test_all_that_differs_shows():
    zeros = np.zeros((1, 4), "float32")
    kinds = [
        zeros,
        zeros.astype("int32"),
        zeros.reshape(1, 2, 2),
        (zeros, zeros),
        np.array([["ab", "c"]]),
        np.array([["a", "bc"]]),
        (np.array([b"ab"]), np.array([b"c"])),
        (np.array([b"a"]), np.array([b"bc"])),
        (np.array(["ab"], object), np.array(["c"], object)),
        (tf.constant(["a"]), tf.constant(["bc"])),
    ]
    digests = [digest_examples(kind).tolist()[0] for kind in kinds]
    # The last two are the same as bytes and as texts of TensorFlow.
    assert len(set(digests)) >= len(kinds) - 1


def test_views_have_digests_of_their_own():
    digests = digest_examples(np.arange(5))
    assert digest_views(digests, 1) is digests
    views = digest_views(digests, 3)
    assert len(set(views.tolist()) | set(digests.tolist())) == 20
    np.testing.assert_array_equal(views[5:10], digest_views(digests, 2)[5:])
