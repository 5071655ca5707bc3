import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.caching import prefix
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.caching.prefix import Prefix


@pytest.fixture
def made(monkeypatch):
    """Note what engines are made."""
    names = []

    def make_engine(function, batch, *, engine, precision, key, folder):
        names.append((engine, precision, key, folder))
        return lambda inputs: function(inputs)

    monkeypatch.setattr(prefix, "make_engine", make_engine)
    return names


def start(engine, count=1, folder=None, name="twice"):
    found = Prefix(lambda x: {"twice": 2 * x}, lambda: name, engine)
    found.choose_engine(count)
    batch = tf.ones((3, 2))
    np.testing.assert_array_equal(found.start(batch, folder)(batch)["twice"], 2)
    return found


def test_few_examples_need_no_engine(made):
    for engine, count in ((None, 10**6), ("auto", 999)):
        start(engine, count)
    assert made == []
    start("auto", 1000)
    start("tensorflow", 10, "folder")
    start("openvino_bfloat16")
    assert made == [
        ("auto", "float32", "twice auto", None),
        ("tensorflow", "float32", "twice tensorflow", "folder"),
        ("openvino", "bfloat16", "twice openvino_bfloat16", None),
    ]


def test_the_choice_is_part_of_the_name_and_is_for_good(made):
    few, many = start("auto", 10), start("auto", 5000)
    assert few.key == start(None).key != many.key
    many.choose_engine(3)
    many.start(tf.ones((1, 2)))
    assert len(made) == 1


def test_a_gpu_computes_them_as_in_training(made, monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU"])
    start("auto", 5000)
    assert made == []


def test_what_has_no_name_is_computed_all_the_same(made):
    def digest():
        raise NoCutError("no configuration")

    Prefix(lambda x: x, digest, "litert").start(tf.ones((3, 2)))
    assert made == [("litert", "float32", None, None)]


def test_other_engines_are_refused():
    with pytest.raises(ValueError, match="Received: engine='steam'"):
        Prefix(None, None, "steam")
