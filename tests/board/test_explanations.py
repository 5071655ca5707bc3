import keras
import numpy as np
import pytest

from keras_transfer.board.answers import collect_answers
from keras_transfer.board.example_grid import caption_examples
from keras_transfer.board.explanations import draw_explanations
from keras_transfer.board.grad_cam import grad_cam
from keras_transfer.board.grad_cam_grid import draw_grad_cam

NAMES = ["ant", "bee", "cow"]


def examples(count=51):
    x = np.random.default_rng(0).uniform(0, 255, (count, 8, 8, 3))
    return x.astype("float32"), np.arange(count) % 3


def build(activation="softmax", loss="sparse_categorical_crossentropy"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Conv2D(5, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation=activation),
        ]
    )
    model.compile("sgd", loss)
    return model


def draw(model, data, **options):
    return draw_explanations(
        model, data, collect_answers(model, data), NAMES, **options
    )


@pytest.mark.parametrize("group", ["stem", "block_1"])
def test_it_is_grad_cam_of_examples_from_all_over_the_data(group):
    model, (x, y) = build(), examples()
    rows = [0, 10, 20, 30, 40, 50]
    captions = caption_examples(model.predict(x, verbose=0), y, NAMES, rows)
    title = f"What speaks for the predicted class ({group})"
    maps = grad_cam(model, x[rows], group)
    np.testing.assert_array_equal(
        draw(model, (x, y), group=group),
        draw_grad_cam(x[rows], maps, captions, title),
    )


def test_the_deepest_group_is_what_is_shown():
    model, data = build(), examples()
    deepest = draw(model, data, group="block_1")
    np.testing.assert_array_equal(draw(model, data), deepest)


def test_what_cannot_be_explained_is_left_out():
    x, y = examples()
    vectors = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    vectors.compile("sgd", "sparse_categorical_crossentropy")
    assert draw(vectors, (x, y)) is None
    several = build("sigmoid", "binary_crossentropy")
    labels = np.ones((51, 3)) - np.eye(3)[y]
    assert draw(several, (x, labels)) is None
    assert draw_explanations(build(), (x, y), {}) is None


def test_a_group_that_is_not_there_is_said():
    with pytest.raises(ValueError, match="block_9"):
        draw(build(), examples(), group="block_9")
