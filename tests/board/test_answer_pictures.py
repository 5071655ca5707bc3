import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.board.answer_pictures import draw_answers
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.board.example_grid import (
    caption_examples,
    choose_examples,
    draw_example_grid,
)
from keras_transfer.board.example_pictures import draw_examples, fetch_shown
from keras_transfer.board.f1_bars import draw_f1_bars
from keras_transfer.board.reliability_diagram import draw_reliability_diagram
from keras_transfer.caching.answers import collect_answers
from keras_transfer.data.outcomes import confusion_matrix

NAMES = ["ant", "bee", "cow"]
OF_VECTORS = {"f1", "confusion_matrix_shares", "reliability"}
OF_IMAGES = {"confident_mistakes", "uncertain_examples"}


def images(count=40):
    random = np.random.default_rng(0)
    x = random.uniform(0, 255, (count, 6, 6, 3)).astype("float32")
    return x, np.arange(count) % 3


def build(shape=(6, 6, 3), outputs=3, activation="softmax", **loss):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(outputs, activation=activation),
        ]
    )
    kind = keras.losses.SparseCategoricalCrossentropy
    model.compile("sgd", loss.pop("loss", None) or kind(**loss))
    return model


def draw(model, data, names=None):
    answers = collect_answers(model, data)
    images = fetch_shown(model, data, answers)
    return {
        **draw_answers(model, data, names, answers),
        **draw_examples(model, data, answers, images, names),
    }


@pytest.mark.parametrize("from_logits", [False, True])
def test_pictures_are_those_of_the_answers(from_logits):
    model = build(
        activation=None if from_logits else "softmax", from_logits=from_logits
    )
    x, y = images()
    found = draw(model, (x, y), NAMES)
    assert set(found) == OF_VECTORS | OF_IMAGES
    outputs = model.predict(x, verbose=0)
    chances = keras.ops.softmax(outputs) if from_logits else outputs
    chances = np.asarray(chances, "float64")
    guesses = chances.argmax(1)
    matrix = confusion_matrix(y, guesses, 3)
    expected = {
        "f1": draw_f1_bars(matrix, NAMES),
        "confusion_matrix_shares": draw_confusion_matrix(
            matrix, NAMES, normalized=True
        ),
        "reliability": draw_reliability_diagram(chances.max(1), guesses == y),
    }
    mistakes, uncertain = choose_examples(chances, y)
    for tag, title, rows in (
        ("confident_mistakes", "Most confident mistakes", mistakes),
        ("uncertain_examples", "Most uncertain examples", uncertain),
    ):
        captions = caption_examples(chances, y, NAMES, rows)
        expected[tag] = draw_example_grid(list(x[rows]), captions, title)
    for tag, picture in expected.items():
        np.testing.assert_array_equal(found[tag], picture, err_msg=tag)


def test_what_is_no_image_is_not_shown():
    x, y = images()
    flat = build((108,))
    assert set(draw(flat, (x.reshape(40, 108), y))) == OF_VECTORS


def test_what_cannot_be_found_again_is_not_shown():
    x, y = images()
    pairs = tf.data.Dataset.from_tensor_slices((x, y))
    model = build()
    assert set(draw(model, pairs.shuffle(40).batch(8))) == OF_VECTORS
    assert set(draw(model, pairs.batch(8))) == OF_VECTORS | OF_IMAGES


def test_two_channels_are_no_image():
    x, y = images()
    model = build((6, 6, 2))
    assert set(draw(model, (x[..., :2], y))) == OF_VECTORS


def test_outputs_that_are_no_numbers_have_no_confidence():
    x, y = images()
    model = build()
    model.layers[-1].kernel.assign(model.layers[-1].kernel * np.nan)
    found = draw(model, (x, y))
    assert set(found) == {"f1", "confusion_matrix_shares"}


def test_batches_are_found_again():
    x, y = images()
    batches = [
        (x[start : start + 7], y[start : start + 7])
        for start in range(0, 40, 7)
    ]
    model = build()
    whole, parts = (draw(model, data) for data in ((x, y), batches))
    for tag in OF_IMAGES:
        np.testing.assert_array_equal(whole[tag], parts[tag])


class Counted(list):
    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def test_all_examples_are_fetched_in_one_pass():
    model, (x, y) = build(), images()
    data = Counted([(x, y)])
    answers = collect_answers(model, data)
    data.passes = 0
    found = fetch_shown(model, data, answers)
    assert data.passes == 2  # a look at a batch is one
    assert {0, 8, 16, 23, 31, 39} < set(found) < set(range(40))
    for row, image in found.items():
        np.testing.assert_array_equal(image, x[row])


def test_several_classes_of_an_example():
    model = build(activation="sigmoid", loss="binary_crossentropy")
    x, _ = images()
    labels = np.random.default_rng(0).integers(0, 2, (40, 3))
    assert set(draw(model, (x, labels))) == {"f1"}


def test_no_classifier_has_none():
    model = build(outputs=1, activation=None, loss="mse")
    x, _ = images()
    assert draw(model, (x, np.linspace(0, 9, 40))) == {}
