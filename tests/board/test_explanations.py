import keras
import numpy as np
import pytest

from keras_transfer.board.example_grid import caption_examples
from keras_transfer.board.example_pictures import fetch_shown
from keras_transfer.board.explanations import draw_explanations
from keras_transfer.board.grad_cam import grad_cam
from keras_transfer.board.grad_cam_grid import draw_grad_cam
from keras_transfer.caching.answers import collect_answers

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
    answers = collect_answers(model, data)
    images = fetch_shown(model, data, answers)
    return draw_explanations(model, data, answers, images, NAMES, **options)


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


def test_captions_read_logits():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model, (x, y) = build(None, loss), examples()
    # As logits they could be chances, and those would be sure of it.
    model.layers[-1].set_weights([np.zeros((5, 3)), np.array([0, 0, 1.0])])
    rows = [0, 10, 20, 30, 40, 50]
    chances = np.tile(np.exp([0, 0, 1.0]) / (2 + np.e), (51, 1))
    captions = caption_examples(chances, y, NAMES, rows)
    title = "What speaks for the predicted class (block_1)"
    expected = draw_grad_cam(x[rows], grad_cam(model, x[rows]), captions, title)
    np.testing.assert_array_equal(draw(model, (x, y)), expected)


def test_images_may_be_of_several_sizes():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    x, y = examples(24)
    small, large = x[:12], np.repeat(x[12:], 2, axis=2)
    rows = [0, 5, 9, 14, 18, 23]
    shown = [*small[[0, 5, 9]], *large[[2, 6, 11]]]
    data = [(small, y[:12]), (large, y[12:])]
    outputs = np.concatenate([model.predict(x, verbose=0) for x, _ in data])
    maps = [grad_cam(model, image[None])[0] for image in shown]
    captions = caption_examples(outputs, y, NAMES, rows, from_logits=True)
    title = "What speaks for the predicted class (stem)"
    expected = draw_grad_cam(shown, maps, captions, title)
    np.testing.assert_array_equal(draw(model, data), expected)


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
    assert draw_explanations(build(), (x, y), {}, {}) is None


def test_a_group_that_is_not_there_is_said():
    with pytest.raises(ValueError, match="block_9"):
        draw(build(), examples(), group="block_9")
