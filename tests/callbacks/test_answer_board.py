"""What `TransferBoard` does where data, models and arguments are unusual."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.board.example_pictures import fetch_shown
from keras_transfer.board.explanations import draw_explanations
from keras_transfer.caching.answers import collect_answers
from tests.callbacks.test_embedding_pages import read as read_points
from tests.callbacks.test_transfer_board import read, texts

NAMES = ["ant", "bee", "cow"]


def images(count=30, side=8):
    x = np.random.default_rng(0).uniform(0, 255, (count, side, side, 3))
    return x.astype("float32"), np.arange(count) % 3


def build(side=8, **options):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((side, side, 3)),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Conv2D(5, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    return compile_it(keras.Sequential(layers), **options)


def compile_it(model, loss="sparse_categorical_crossentropy", **options):
    options.setdefault("run_eagerly", True)
    model.compile(keras.optimizers.SGD(1e-6), loss, **options)
    return model


def fit(model, folder, data, train=None, **options):
    epochs = {
        name: options.pop(name)
        for name in ("epochs", "initial_epoch")
        if name in options
    }
    board = kt.TransferBoard(folder, validation_data=data, **options)
    train = train or (data if isinstance(data, tuple) else images())
    model.fit(*train, callbacks=[board], verbose=0, **epochs)
    return board


class Batches(keras.utils.PyDataset):
    """Counts how often each batch is read."""

    def __init__(self, *batches):
        super().__init__()
        self.batches, self.read = batches, 0

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        self.read += 1
        return self.batches[index]


def test_a_second_fit_shows_the_model_as_it_is_now(tmp_path):
    (x, y), model = images(), build(run_eagerly=False)
    board = fit(model, tmp_path, (x, y), class_names=NAMES)
    dense = model.layers[-1]
    dense.enable_lora(1)
    compile_it(model, run_eagerly=False)
    # With what was added, it answers something else: always the last class.
    dense.lora_kernel_a.assign(0 * dense.lora_kernel_a + 10)
    dense.lora_kernel_b.assign([[-9, -9, 9]])
    model.fit(x, y, initial_epoch=1, epochs=2, callbacks=[board], verbose=0)
    assert set(model.predict(x, verbose=0).argmax(1)) == {2}
    _, [_, *table] = read_points(tmp_path)
    assert [row[1] for row in table] == ["cow"] * 30
    report = texts(read(tmp_path / "validation"), "class_report")[-1]
    assert "| cow | 0.333 | 1.000 |" in report


def test_grad_cam_is_of_the_group_asked_for(tmp_path):
    model, data = build(), images()
    fit(model, tmp_path, data, grad_cam_group="stem")
    answers = collect_answers(model, data)
    shown = fetch_shown(model, data, answers)
    expected = draw_explanations(model, data, answers, shown, None, "stem")
    [(_, (_, _, png))] = read(tmp_path / "validation")["grad_cam"]
    np.testing.assert_array_equal(tf.io.decode_image(png), expected)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"projector_limit": -1}, "0 or more. Received: projector_limit=-1"),
        ({"data": images(0)}, "must have examples. Received: validation_data="),
        ({"data": Batches()}, "must have examples. Received: validation_data="),
    ],
)
def test_arguments_that_cannot_be_right_are_refused(options, message):
    data = options.pop("data", images())
    with pytest.raises(ValueError, match=message):
        kt.TransferBoard(validation_data=data, **options)


def test_a_group_that_makes_no_map_is_said_before_training(tmp_path):
    board = kt.TransferBoard(
        tmp_path, validation_data=images(), grad_cam_group="block_7"
    )
    model = build()

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise KeyboardInterrupt

    with (
        pytest.warns(UserWarning, match="Grad-CAM.*stem.*group='block_7'"),
        pytest.raises(KeyboardInterrupt),
    ):
        model.fit(*images(), callbacks=[board, Stop()], verbose=0)
    model.fit(*images(), callbacks=[board], verbose=0)
    logs = read(tmp_path / "validation")
    assert "grad_cam" not in logs and "confident_mistakes" in logs


@pytest.mark.parametrize(
    "names, message",
    [
        ({"ant": 0, "bee": 1, "cow": 2}, "must be a list in the order"),
        ({"dense": NAMES}, "must be a list in the order"),
    ],
)
def test_a_dictionary_of_names_is_for_several_outputs(tmp_path, names, message):
    with pytest.warns(UserWarning, match=f"{message}.*Received: class_names="):
        fit(build(), tmp_path, images(), class_names=names)


def test_images_of_several_sizes_have_all_pages(tmp_path):
    model = build(side=None)
    data = Batches(images(12), images(12, side=10))
    fit(model, tmp_path, data)
    logs = read(tmp_path / "validation")
    assert {"f1", "confident_mistakes", "grad_cam"} <= set(logs)
    points, _ = read_points(tmp_path)
    assert [len(part) for part in points.values()] == [24, 24]


def test_a_page_that_fails_takes_no_other_with_it(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("no such example")

    module = "keras_transfer.callbacks.answer_pages"
    for name in ("fetch_shown", "draw_answers"):
        monkeypatch.setattr(f"{module}.{name}", fail)
    with pytest.warns(UserWarning, match="without") as caught:
        fit(build(), tmp_path, images())
    assert len([w for w in caught if "TransferBoard" in str(w.message)]) == 2
    logs = read(tmp_path / "validation")
    assert "precision_recall/0" in logs and "f1" not in logs


def test_pandas_has_all_pages(tmp_path):
    x, y = images()
    frame = pd.DataFrame(x.reshape(30, -1)[:, :6], index=y)
    layers = [keras.layers.Dense(4), keras.layers.Dense(3, "softmax")]
    model = compile_it(keras.Sequential([keras.Input((6,)), *layers]))
    labels = pd.Series(y, index=frame.index)
    fit(model, tmp_path, (frame, labels))
    points, table = read_points(tmp_path)
    assert [row[0] for row in table[1:5]] == ["0", "1", "2", "0"]
    expected = model.layers[0](frame.to_numpy()).numpy()
    np.testing.assert_allclose(points["after training"], expected, rtol=1e-2)
    assert "f1" in read(tmp_path / "validation")


def test_data_that_shuffles_between_epochs_has_no_projector(tmp_path):
    class Shuffled(Batches):
        def on_epoch_end(self):
            self.batches = self.batches[::-1]

    x, y = images()
    data = Shuffled((x[:16], y[:16]), (x[16:], y[16:]))
    fit(build(), tmp_path, data)
    assert not (tmp_path / "projector").exists()
    assert "f1" in read(tmp_path / "validation")


def test_a_model_that_its_first_step_builds(tmp_path):
    x, y = images()
    layers = [keras.layers.Conv2D(1, 3), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(3, activation="softmax"))
    model = compile_it(keras.Sequential(layers))
    board = kt.TransferBoard(tmp_path, validation_data=(x, y))
    with pytest.warns(UserWarning, match="no projector of this `fit`"):
        model.fit(x, y, epochs=2, callbacks=[board], verbose=0)
    assert not (tmp_path / "projector").exists()
    model.fit(x, y, callbacks=[board], verbose=0)
    points, _ = read_points(tmp_path)
    assert list(points) == ["before training", "after training"]


@pytest.mark.parametrize("kind", ["regression", "NaN"])
def test_what_has_no_classes_leaves_no_projector(tmp_path, kind):
    x, y = images()
    model = build()
    if kind == "NaN":
        model.layers[-1].bias.assign([np.nan] * 3)
    else:
        y = np.random.default_rng(0).normal(size=(30, 3))
        compile_it(model, "mse")
    fit(model, tmp_path, (x, y))
    assert not (tmp_path / "projector").exists()
    logs = read(tmp_path / "train")
    assert ("data" in logs) == (kind == "NaN")


def test_targets_in_0_to_1_are_no_classes(tmp_path):
    x, y = images()
    layers = [keras.layers.Flatten(), keras.layers.Dense(1)]
    model = compile_it(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
    compile_it(model, "mse")
    fit(model, tmp_path, (x, 2.0 * y), train=(x, np.minimum(y, 1)))
    assert "data" not in read(tmp_path / "train")


@pytest.mark.parametrize("freq, kind", [(0, "arrays"), (3, "batches")])
def test_validation_data_is_counted_without_a_report(tmp_path, freq, kind):
    x, y = images()
    data = (x, y) if kind == "arrays" else Batches((x, y))
    options = {"initial_epoch": 1, "epochs": 2, "class_report_freq": freq}
    fit(build(), tmp_path, data, (x[:9], y[:9]), **options)
    [text] = texts(read(tmp_path / "train"), "data")
    assert "| examples | 9 | 30 |" in text


@pytest.mark.parametrize("limit, passes", [(0, 3), (500, 6)])
def test_how_often_validation_data_is_read(tmp_path, limit, passes):
    x, y = images()
    batches = [(x[n : n + 3], y[n : n + 3]) for n in range(0, 30, 3)]
    data = Batches(*batches)
    fit(build(), tmp_path, data, projector_limit=limit)
    # A report, two for the pictures; counting, before and after. And a look
    # at the first batch, for each of both.
    looks = 2 if limit else 1
    assert data.read == 10 * passes + looks
    assert (tmp_path / "projector" / "sprite.png").exists() == bool(limit)
