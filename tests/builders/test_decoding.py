"""Predictions by name."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from tests import networks


class Named:
    def __init__(self, class_names):
        self.class_names = class_names


PREDICTIONS = np.array([[0.2, 0.7, 0.1], [0.5, 0.0, 0.5]], "float32")


def test_the_most_probable_first():
    decoded = kt.decode_predictions(Named(["a", "b", "c"]), PREDICTIONS, top=2)
    names = [[name for name, _ in row] for row in decoded]
    assert names == [["b", "a"], ["a", "c"]]
    assert decoded[0][0][1] == pytest.approx(0.7)
    assert type(decoded[0][0][1]) is float


def test_at_most_all_of_them():
    decoded = kt.decode_predictions(Named(["a", "b", "c"]), PREDICTIONS)
    assert [len(row) for row in decoded] == [3, 3]


@pytest.mark.parametrize("kind", [list, keras.ops.convert_to_tensor])
def test_lists_and_tensors(kind):
    decoded = kt.decode_predictions(Named(list("abc")), kind(PREDICTIONS))
    assert decoded[0][0][0] == "b"


def test_without_names():
    model = networks.build("mlp")
    for each in (model, Named(None)):
        decoded = kt.decode_predictions(each, PREDICTIONS, top=1)
        assert [row[0][0] for row in decoded] == ["1", "0"]


def test_a_single_column_is_the_second_of_two_classes():
    column = np.array([[0.9], [0.2]])
    decoded = kt.decode_predictions(Named(["no", "yes"]), column)
    assert decoded[0][0] == ("yes", pytest.approx(0.9))
    assert decoded[1][0] == ("no", pytest.approx(0.8))
    assert kt.decode_predictions(Named(None), column)[0][0][0] == "1"


def test_a_single_class_with_a_name():
    decoded = kt.decode_predictions(Named(["cat"]), np.array([[0.9]]))
    assert decoded == [[("cat", pytest.approx(0.9))]]


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 3, 1), (2, 1), ()])
def test_predictions_of_another_model(shape):
    with pytest.raises(ValueError, match="Received: .*shape"):
        kt.decode_predictions(Named(["a", "b", "c"]), np.zeros(shape))


def test_the_names_that_a_classifier_was_built_with(tmp_path):
    backbone = kt.load_backbone(networks.build("mlp"))
    model = kt.build_classifier(backbone, ["x", "y"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    predictions = loaded.predict(networks.batch_for(model), verbose=0)
    best = [row[0][0] for row in kt.decode_predictions(loaded, predictions)]
    assert best == [["x", "y"][n] for n in predictions.argmax(axis=1)]
