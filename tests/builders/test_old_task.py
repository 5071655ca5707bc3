"""The answers that a progressive network was built on."""

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.builders.old_task import old_task
from keras_transfer.builders.progressive import build_progressive
from tests import networks


def progressive():
    old = kt.build_classifier(networks.tiny_backbone(), ["a", "b"])
    return old, build_progressive(old, ["x", "y", "z"])


def test_a_classifier_with_its_names_and_nothing_to_train():
    old, new = progressive()
    first = old_task(new)
    x = networks.batch_for(old)
    np.testing.assert_array_equal(first(x), old(x))
    assert type(first) is type(old)
    assert first.class_names == ["a", "b"]
    assert first.output_shape == (None, 2)
    assert first.trainable_weights == []
    named = kt.decode_predictions(first, first.predict(x, verbose=0), top=1)
    assert {row[0][0] for row in named} <= {"a", "b"}
    shared = {id(w) for w in new.get_layer("column_1").weights}
    assert {id(w) for w in first.weights} == shared


def test_wrong_arguments():
    old, new = progressive()
    with pytest.raises(ValueError, match="Received: model=<Classifier"):
        old_task(old)
    with pytest.raises(ValueError, match="Received: model='x'"):
        old_task("x")
    for number in (0, 2, "a", None):
        with pytest.raises(ValueError, match=f"Received: number={number!r}"):
            old_task(new, number)
