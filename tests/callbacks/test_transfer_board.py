"""TransferBoard: what is in its logs, read back with TensorBoard's reader."""

import json
import os
import queue
import random
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.metrics import multilabel_confusion_matrix
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

import keras_transfer as kt
from keras_transfer.board.answer_pictures import draw_answers
from keras_transfer.board.class_report import class_report_markdown
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.board.precision_recall import count_over_thresholds
from keras_transfer.callbacks.phase_backup import PhaseBackup
from keras_transfer.callbacks.transfer_board import TransferBoard
from keras_transfer.data.outcomes import confusion_matrix

CLASSES, FEATURES, EXAMPLES, STEPS = 3, 6, 40, 5
NAMES = ["ant", "bee", "cow"]


def example_data(examples=EXAMPLES):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, FEATURES)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32") + (x[:, 1] > 0)


def build(outputs=CLASSES, activation="softmax", *, noise=False):
    random_layers = [keras.layers.GaussianNoise(0.1), keras.layers.Dropout(0.5)]
    layers = [
        keras.Input((FEATURES,)),
        keras.layers.Dense(8, activation="relu", name="first"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(8, activation="relu", name="second"),
        *(random_layers if noise else ()),
        keras.layers.Dense(outputs, activation=activation, name="top"),
    ]
    return keras.Sequential(layers)


def compile_model(
    model, loss="sparse_categorical_crossentropy", *, rate=0.01, eager=True
):
    """Compile; eagerly where the test is not about it, to spare tracing."""
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=eager)
    return model


def fit(model, *boards, data=None, validate=False, **kwargs):
    x, y = data or example_data()
    kwargs.setdefault("batch_size", EXAMPLES // STEPS)
    return model.fit(
        x,
        y,
        validation_data=(x, y) if validate else None,
        callbacks=list(boards),
        verbose=0,
        **kwargs,
    )


def read(folder) -> dict:
    """Read a folder of logs: for each tag, the pairs (step, value)."""
    if not folder.exists():
        return {}
    events = EventAccumulator(str(folder), {"tensors": 0})
    events.Reload()
    return {
        tag: [
            (event.step, tf.make_ndarray(event.tensor_proto))
            for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def steps(logs, tag):
    return [step for step, _ in logs[tag]]


def values(logs, tag):
    return [value.item() for _, value in logs[tag]]


def texts(logs, tag):
    return [value.item().decode() for _, value in logs[tag]]


class Unfreeze(keras.callbacks.Callback):
    """Train the whole network from an epoch on."""

    def __init__(self, epoch, rate):
        super().__init__()
        self.epoch, self.rate = epoch, rate

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            for layer in self.model.layers:
                layer.trainable = True
            self.model.make_train_function(force=True)
            self.model.optimizer.learning_rate = self.rate


@pytest.mark.parametrize("freq", ["epoch", 2])
def test_curves_go_on_over_fits_and_optimizers(tmp_path, freq):
    board = TransferBoard(
        tmp_path, validation_data=example_data(), update_freq=freq
    )
    model = build()

    def go_on(first, end, steps=STEPS):
        fit(
            model,
            board,
            initial_epoch=first,
            epochs=end,
            batch_size=EXAMPLES // steps,
            validate=True,
        )

    compile_model(model, rate=0.01, eager=False)
    go_on(0, 2)
    compile_model(model, rate=0.001, eager=False)
    go_on(2, 5)
    go_on(5, 6, steps=2 * STEPS)

    train, validation = read(tmp_path / "train"), read(tmp_path / "validation")
    for tag in ("loss", "accuracy"):
        assert steps(train, f"epoch_{tag}") == list(range(6))
        assert steps(validation, f"epoch_{tag}") == list(range(6))
        iterations = steps(validation, f"evaluation_{tag}_vs_iterations")
        assert iterations == [STEPS * n for n in (1, 2, 3, 4, 5, 7)]
    for tag in ("number", "trainable_weights", "trainable_share"):
        assert steps(train, f"phase/{tag}") == list(range(6))
    for tag in ("confusion_matrix", "class_report"):
        assert steps(validation, tag) == list(range(6))
    assert values(train, "phase/number") == [1, 1, 2, 2, 2, 3]
    np.testing.assert_allclose(
        values(train, "epoch_learning_rate"), [0.01] * 2 + [0.001] * 4
    )
    if freq == 2:
        assert steps(train, "batch_loss") == list(range(2, 7 * STEPS + 1, 2))
    assert len(list((tmp_path / "train").iterdir())) == 1
    assert len(list((tmp_path / "validation").iterdir())) == 1


def test_the_graph_is_written_once(tmp_path):
    board = TransferBoard(tmp_path)
    model = compile_model(build())
    fit(model, board, epochs=1)
    fit(model, board, epochs=2, initial_epoch=1)
    assert steps(read(tmp_path / "train"), "keras") == [0]


def test_epochs_that_were_counted_anew_do_not_overlap(tmp_path):
    board = TransferBoard(tmp_path)
    model = compile_model(build())
    fit(model, board, epochs=2)
    fit(model, board, epochs=2)
    fit(model, board, epochs=9, initial_epoch=8)
    assert steps(read(tmp_path / "train"), "epoch_loss") == [0, 1, 2, 3, 8]


def test_a_training_goes_on_in_a_new_process(tmp_path):
    board = TransferBoard(tmp_path, update_freq=1)
    board.name_phase("fine-tuning", number=3)
    fit(compile_model(build()), board, epochs=4, initial_epoch=3)
    logs = read(tmp_path / "train")
    assert steps(logs, "batch_loss") == [3 * STEPS + n for n in range(1, 6)]
    assert values(logs, "phase/number") == [3]


def test_a_phase_starts_when_other_weights_train(tmp_path):
    model = compile_model(build(), eager=False)
    model.optimizer.build(model.trainable_variables)
    for layer in model.layers[:-1]:
        layer.trainable = False
    frozen = [w.copy() for w in model.layers[0].get_weights()]
    board = TransferBoard(tmp_path)
    x, y = example_data()
    # The board comes first: it still has to see what the other one does.
    model.fit(
        x,
        y,
        epochs=4,
        callbacks=[board, Unfreeze(2, rate=0.5)],
        verbose=0,
    )
    assert not np.array_equal(frozen[0], model.layers[0].get_weights()[0])
    logs = read(tmp_path / "train")
    top, total = 8 * CLASSES + CLASSES, model.count_params()
    everything = total - 2 * 8  # without the moving averages
    assert values(logs, "phase/number") == [1, 1, 2, 2]
    live = values(logs, "phase/trainable_weights")
    assert live == [top, top, everything, everything]
    np.testing.assert_allclose(
        values(logs, "phase/trainable_share"), np.divide(live, total)
    )
    assert steps(logs, "phase") == [0, 2]
    first, second = texts(logs, "phase")
    assert first.startswith("### phase 1\n")
    assert "| trains | head |" in first and "| frozen | stem" in first
    assert f"| {top:,} of {total:,} (" in first
    assert "| learning rate | 0.01 |" in first
    assert second.startswith("### phase 2\n")
    assert "| trains | stem" in second and "| frozen | none |" in second
    assert "| learning rate | 0.5 |" in second


def test_a_phase_has_the_name_it_was_given(tmp_path):
    board = TransferBoard(tmp_path)
    model = compile_model(build())
    fit(model, board, epochs=1)
    board.name_phase("fine_tuning")
    fit(model, board, epochs=2, initial_epoch=1)
    fit(model, board, epochs=3, initial_epoch=2)
    headings = [
        text.split("\n")[0] for text in texts(read(tmp_path / "train"), "phase")
    ]
    assert headings == ["### phase 1", r"### fine\_tuning", "### phase 3"]


def test_training_is_not_disturbed(tmp_path):
    x, y = example_data()
    data = tf.data.Dataset.from_tensor_slices((x, y))
    validation = data.shuffle(EXAMPLES).batch(8)

    def train(*boards):
        keras.utils.set_random_seed(1)
        model, history = build(noise=True), []
        for end in (2, 3):
            compile_model(model, eager=False)
            logs = fit(
                model, *boards, initial_epoch=end - 2, epochs=end, validate=True
            )
            history.append(logs.history)
        draws = random.random(), np.random.random(), tf.random.uniform(())
        return model, history, [float(draw) for draw in draws]

    board = TransferBoard(tmp_path, validation_data=validation)
    plain, plain_history, plain_draws = train()
    shown, shown_history, shown_draws = train(board)
    assert len(read(tmp_path / "validation")["class_report"]) == 4
    for expected, actual in zip(plain.variables, shown.variables, strict=True):
        np.testing.assert_array_equal(expected.numpy(), actual.numpy())
    assert shown_history == plain_history
    assert shown_draws == plain_draws
    assert shown.predict_function is None


def test_report_and_picture_show_the_predictions(tmp_path):
    model = compile_model(build(noise=True), eager=False)
    x, y = example_data()
    board = TransferBoard(
        tmp_path, validation_data=(x, y), class_names=np.array(NAMES)
    )
    fit(model, board, epochs=2)
    matrix = confusion_matrix(
        y, model.predict(x, verbose=0).argmax(axis=1), CLASSES
    )
    logs = read(tmp_path / "validation")
    expected = class_report_markdown(matrix, NAMES)
    assert texts(logs, "class_report")[-1] == expected
    width, height, png = logs["confusion_matrix"][-1][1]
    picture = draw_confusion_matrix(matrix, NAMES)
    assert (int(height), int(width)) == picture.shape[:2]
    np.testing.assert_array_equal(tf.io.decode_png(png), picture)


class Batches(keras.utils.PyDataset):
    """Batches with sample weights; counts how often it was gone through."""

    def __init__(self):
        super().__init__()
        self.epochs = 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        x, y = example_data()
        rows = slice(index * 30, index * 30 + 30)
        return x[rows], y[rows], np.ones(len(y[rows]))

    def on_epoch_end(self):
        self.epochs += 1


def dataset_of(y):
    return tf.data.Dataset.from_tensor_slices((example_data()[0], y)).batch(16)


def test_kinds_of_validation_data(tmp_path):
    x, y = example_data()
    kinds = {
        "arrays": (x, y),
        "column": (x, y[:, None]),
        "weights": (x, y, np.ones(EXAMPLES)),
        "tensors": (tf.constant(x), tf.constant(y)),
        "dataset": dataset_of(y),
        "PyDataset": Batches(),
    }
    boards = [
        TransferBoard(tmp_path / kind, validation_data=data)
        for kind, data in kinds.items()
    ]
    model = compile_model(build(), eager=False)
    fit(model, *boards, epochs=1)
    predictions = model.predict(x, verbose=0).argmax(axis=1)
    matrix = confusion_matrix(y, predictions, CLASSES)
    expected = class_report_markdown(matrix, range(CLASSES))
    for kind in kinds:
        logs = read(tmp_path / kind / "validation")
        assert texts(logs, "class_report") == [expected], kind
    assert kinds["PyDataset"].epochs == 0


def kinds_of_classifier():
    y = example_data()[1]
    one_hot = np.eye(CLASSES, dtype="float32")[y]
    several = np.stack([y > 0, y > 1, y < 1], axis=1).astype("float32")
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    return {
        "one-hot": (one_hot, "softmax", "categorical_crossentropy"),
        "binary": ((y > 0)[:, None], "sigmoid", "binary_crossentropy"),
        "logit": ((y > 0)[:, None].astype("float32"), None, binary),
        "several": (several, "sigmoid", "binary_crossentropy"),
        "several logits": (several, None, binary),
        "one of several": (one_hot, "sigmoid", "binary_crossentropy"),
    }


@pytest.mark.parametrize("kind", kinds_of_classifier())
def test_kinds_of_classifier(tmp_path, kind):
    y, activation, loss = kinds_of_classifier()[kind]
    outputs = y.shape[1]
    model = compile_model(build(outputs, activation), loss, rate=0.0)
    if kind == "logit":
        # Between 0 and 0.5: a yes as a logit, a no as a probability.
        kernel, _ = model.layers[-1].get_weights()
        model.layers[-1].set_weights([0 * kernel, np.array([0.3])])
    data = example_data()[0], y
    board = TransferBoard(tmp_path, validation_data=data)
    fit(model, board, epochs=1, data=data)
    scores = model.predict(data[0], verbose=0)
    if "logit" in kind:
        scores = 1 / (1 + np.exp(-scores.astype("float64")))
    if outputs == 1:
        matrix = confusion_matrix(y[:, 0], scores[:, 0] > 0.5, 2)
    elif "several" in kind:
        matrix = multilabel_confusion_matrix(y, scores > 0.5)
    else:
        matrix = confusion_matrix(y.argmax(1), scores.argmax(1), CLASSES)
    logs = read(tmp_path / "validation")
    expected = class_report_markdown(matrix, range(len(matrix)))
    assert texts(logs, "class_report") == [expected]
    assert ("confusion_matrix" in logs) == ("several" not in kind)
    for number in range(outputs):
        name = 1 if outputs == 1 else number
        [(_, curve)] = logs[f"precision_recall/{name}"]
        truth = y[:, number] > 0.5
        expected = count_over_thresholds(truth, scores[:, number], 101)
        np.testing.assert_allclose(curve[:4], expected[:4], atol=1)


def test_a_regression_model_has_phases_and_no_report(tmp_path):
    x, _ = example_data()
    model = build(1, None)
    model.compile("adam", "mse", run_eagerly=True)
    board = TransferBoard(tmp_path, validation_data=(x, x[:, 0]))
    fit(model, board, epochs=2, data=(x, x[:, 0]))
    assert values(read(tmp_path / "train"), "phase/number") == [1, 1]
    assert read(tmp_path / "validation") == {}


def test_metrics_may_give_a_value_for_each_class(tmp_path):
    x, y = example_data()
    model = build()
    f1 = keras.metrics.F1Score(name="f1")
    model.compile("adam", "categorical_crossentropy", metrics=[f1])
    y = keras.utils.to_categorical(y, CLASSES)
    history = model.fit(
        x,
        y,
        validation_data=(x, y),
        epochs=2,
        verbose=0,
        callbacks=[TransferBoard(tmp_path, update_freq="batch")],
    ).history
    train, validation = (
        read(tmp_path / side) for side in ("train", "validation")
    )
    for n in range(CLASSES):
        for logs, scores in ((train, "f1"), (validation, "val_f1")):
            expected = [epoch[n] for epoch in history[scores]]
            found = values(logs, f"epoch_f1_{n}")
            assert found == pytest.approx(expected, abs=1e-6)
        assert f"batch_f1_{n}" in train


class TwoOutputs(keras.Model):
    """A subclassed model, run eagerly, that returns a dict."""

    def __init__(self):
        super().__init__()
        self.top = keras.layers.Dense(CLASSES)

    def call(self, x):
        assert tf.executing_eagerly()
        return {"a": self.top(x), "b": self.top(x)}


def test_a_model_of_another_kind_trains_on(tmp_path):
    model = TwoOutputs()
    model.compile("sgd", {"a": "mse", "b": "mse"}, run_eagerly=True)
    x, _ = example_data()
    y = {"a": x[:, :CLASSES], "b": x[:, :CLASSES]}
    model(x[:1])
    board = TransferBoard(tmp_path, validation_data=(x, y))
    fit(model, board, epochs=1, data=(x, y))
    logs = read(tmp_path / "train")
    assert values(logs, "phase/trainable_share") == [1.0]
    assert "class_report" not in read(tmp_path / "validation")


def test_a_model_without_groups_shows_the_rest(tmp_path, monkeypatch):
    def fail(model):
        raise NotImplementedError

    monkeypatch.setattr("keras_transfer.board.phase_text.layer_groups", fail)
    fit(compile_model(build()), TransferBoard(tmp_path), epochs=1)
    (text,) = texts(read(tmp_path / "train"), "phase")
    assert "learning rate" in text and "| trains |" not in text


def test_what_cannot_be_shown_is_said_once_and_training_goes_on(tmp_path):
    x, y = example_data()
    board = TransferBoard(
        tmp_path, validation_data=(x[:, :2], y), projector_limit=0
    )
    with pytest.warns(UserWarning, match="without the class report") as caught:
        history = fit(compile_model(build()), board, epochs=3)
    said = [w for w in caught if "TransferBoard" in str(w.message)]
    assert len(said) == 1 and len(history.epoch) == 3
    assert steps(read(tmp_path / "train"), "phase/number") == [0, 1, 2]


def test_wrong_number_of_class_names_is_said(tmp_path):
    board = TransferBoard(
        tmp_path, validation_data=example_data(), class_names=["a", "b"]
    )
    with pytest.warns(
        UserWarning, match=r"3 classes.*class_names=\['a', 'b'\]"
    ):
        fit(compile_model(build()), board, epochs=1)


def test_data_without_labels_has_no_report(tmp_path):
    data = tf.data.Dataset.from_tensors(example_data()[0])
    board = TransferBoard(tmp_path, validation_data=data)
    fit(compile_model(build()), board, epochs=1)
    assert read(tmp_path / "validation") == {}


@pytest.mark.parametrize("owner", ["model", "data", "model, too few"])
def test_class_names_come_from_the_model_or_the_data(tmp_path, owner):
    model, data = compile_model(build()), dataset_of(example_data()[1])
    if owner == "data":
        data.class_names = NAMES
    else:
        model.class_names = NAMES[:2] if "few" in owner else NAMES
    fit(model, TransferBoard(tmp_path, validation_data=data), epochs=1)
    (report,) = texts(read(tmp_path / "validation"), "class_report")
    shown = {line.split("|")[1].strip() for line in report.splitlines()[2:-1]}
    assert shown == (set("012") if "few" in owner else set(NAMES))


@pytest.mark.parametrize("given", [True, False])
def test_one_class_name_of_two(tmp_path, given):
    x, y = example_data()
    model = compile_model(build(1, "sigmoid"), "binary_crossentropy")
    model.class_names = None if given else ["bee"]
    board = TransferBoard(
        tmp_path,
        validation_data=(x, y > 0),
        class_names=["bee"] if given else None,
    )
    fit(model, board, epochs=1, data=(x, y > 0))
    (report,) = texts(read(tmp_path / "validation"), "class_report")
    assert "| bee |" in report and "| not bee |" in report


def test_how_often_the_report_is_made(tmp_path):
    model = compile_model(build())
    board = TransferBoard(
        tmp_path / "2", validation_data=example_data(), class_report_freq=2
    )
    fit(model, board, epochs=4)
    assert steps(read(tmp_path / "2" / "validation"), "class_report") == [0, 2]
    board = TransferBoard(
        tmp_path / "0", validation_data=example_data(), class_report_freq=0
    )
    fit(model, board, epochs=1)
    assert "class_report" not in read(tmp_path / "0" / "validation")


class Stop(keras.callbacks.Callback):
    """Break off, as a kill would, in the midst of an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == STEPS + 2:
            raise KeyboardInterrupt


def test_logs_are_readable_when_training_breaks_off(tmp_path):
    board = TransferBoard(tmp_path, validation_data=example_data())
    model = compile_model(build())
    with pytest.raises(KeyboardInterrupt):
        fit(model, board, Stop(), epochs=3)
    train, validation = read(tmp_path / "train"), read(tmp_path / "validation")
    assert steps(train, "epoch_loss") == [0]
    assert steps(train, "phase/number") == [0, 1]
    assert steps(validation, "class_report") == [0]
    fit(model, board, epochs=3, initial_epoch=1)
    assert steps(read(tmp_path / "train"), "epoch_loss") == [0, 1, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], r"must be a tuple.*validation_data=\[1, 2\]"),
        (tf.data.Dataset.range(2).repeat(), "must end"),
    ],
)
def test_other_validation_data_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        TransferBoard(validation_data=data)


@pytest.fixture
def serve():
    """Run `tensorboard` over a folder; return how to ask it for JSON."""
    processes = []

    def start(folder):
        command = [sys.executable, "-m", "tensorboard.main", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--logdir", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
        )
        processes.append(process)
        lines = queue.Queue()

        def forward():
            for line in process.stderr:
                lines.put(line)

        threading.Thread(target=forward, daemon=True).start()
        address = None
        while address is None:
            address = re.search(
                r"http://127\.0\.0\.1:\d+/", lines.get(timeout=60)
            )

        def ask(path):
            url = f"{address.group()}data/plugin/{path}"
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)

        return ask

    yield start
    for process in processes:
        process.terminate()
        process.wait(timeout=20)
        process.stderr.close()


def test_tensorboard_shows_it(tmp_path, serve):
    board = TransferBoard(
        tmp_path / "run", validation_data=example_data(), class_names=NAMES
    )
    board.name_phase("extraction")
    fit(compile_model(build()), board, epochs=2, validate=True)

    ask = serve(tmp_path)
    deadline = time.monotonic() + 60
    train, validation = (
        os.path.join("run", "train"),
        os.path.join("run", "validation"),
    )
    while "confusion_matrix" not in ask("images/tags").get(validation, ()):
        assert time.monotonic() < deadline, ask("images/tags")
        time.sleep(0.2)
    scalars = ask("scalars/tags")
    assert {
        "phase/number",
        "phase/trainable_weights",
        "phase/trainable_share",
        "epoch_loss",
        "epoch_learning_rate",
    } <= set(scalars[train])
    assert "epoch_accuracy" in scalars[validation]
    words = {"run", "phase", "layer_groups", "data"}
    assert set(ask("text/tags")[train]) == words
    assert set(ask("text/tags")[validation]) == {"class_report"}
    (phase,) = ask(f"text/text?run={train}&tag=phase")
    assert "<h3>extraction</h3>" in phase["text"] and phase["step"] == 0
    pages = ask("custom_scalars/layout")["category"]
    titles = ["Learning", "What trains", "Drift", "Speed"]
    assert [page["title"] for page in pages] == titles
    shown = {}
    for page in pages:
        for chart in page["chart"]:
            for run in (train, validation):
                for tag in chart["multiline"]["tag"]:
                    query = urllib.parse.urlencode({"run": run, "tag": tag})
                    answer = ask(f"custom_scalars/scalars?{query}")
                    assert answer["regex_valid"]
                    found = shown.setdefault(chart["title"], set())
                    found.update(answer["tag_to_events"])
    assert shown["loss"] == {"epoch_loss"}
    assert shown["metrics"] == {"epoch_accuracy"}
    drift = {"drift/stem", "drift/block_1"}
    assert shown["drift from the first weights"] == drift
    assert shown["drift of the head"] == {"drift/head"}
    assert all(shown.values())
    report = ask(f"text/text?run={validation}&tag=class_report")
    assert [entry["step"] for entry in report] == [0, 1]
    assert "<td" in report[0]["text"] and "bee</td>" in report[0]["text"]
    pictures = ask(
        f"images/images?run={validation}&tag=confusion_matrix&sample=0"
    )
    assert [picture["step"] for picture in pictures] == [0, 1]


def test_layer_groups_are_followed(tmp_path):
    model = compile_model(build(), eager=False)
    model.optimizer.build(model.trainable_variables)
    for layer in model.layers[:-1]:
        layer.trainable = False
    stem = [*model.layers[0].weights, *model.layers[1].weights[:2]]
    before = np.concatenate([weight.numpy().ravel() for weight in stem])
    fit(
        model,
        TransferBoard(tmp_path),
        Unfreeze(2, rate=0.5),
        epochs=4,
        validate=True,
    )
    logs = read(tmp_path / "train")
    for tag in ("learning_rate/head", "update/head", "gradient/head"):
        assert steps(logs, tag) == [0, 1, 2, 3]
        assert all(value > 0 for value in values(logs, tag))
    for tag in ("update/stem", "gradient/stem"):
        assert steps(logs, tag) == [2, 3]
    rates = values(logs, "learning_rate/stem")
    np.testing.assert_allclose(rates, [0, 0, 0.5, 0.5])
    drift = values(logs, "drift/stem")
    assert drift[:2] == [0, 0] and 0 < drift[2]
    now = np.concatenate([weight.numpy().ravel() for weight in stem])
    expected = np.linalg.norm(now - before) / np.linalg.norm(before)
    np.testing.assert_allclose(drift[-1], expected, rtol=1e-5)


def test_gaps_and_speed_are_followed(tmp_path):
    board = TransferBoard(tmp_path)
    logs = fit(compile_model(build()), board, epochs=2, validate=True).history
    curves = read(tmp_path / "train")
    gaps = np.subtract(logs["val_loss"], logs["loss"])
    np.testing.assert_allclose(values(curves, "gap/loss"), gaps, rtol=1e-5)
    gaps = np.subtract(logs["accuracy"], logs["val_accuracy"])
    np.testing.assert_allclose(values(curves, "gap/accuracy"), gaps, atol=1e-6)
    for tag in ("seconds", "examples_per_second"):
        assert all(value > 0 for value in values(curves, f"speed/{tag}"))
    assert values(curves, "speed/cached_examples") == [0, 0]


class Kill(keras.callbacks.Callback):
    """Ends a training before an epoch, or in its middle."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if (epoch, self.place) == (2, "between"):
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch, self.place) == (2, 1, "within"):
            raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["between", "within"])
def test_a_resumed_training_has_the_curves_of_the_whole(tmp_path, place):
    def train(folder, *callbacks):
        keras.utils.set_random_seed(0)
        model = compile_model(build(), eager=False)
        board = TransferBoard(folder, validation_data=example_data())
        backup = PhaseBackup(folder / "backup")
        fit(model, board, backup, *callbacks, epochs=4, validate=True)

    train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", Kill(place))
    train(tmp_path / "parts")
    for split in ("train", "validation"):
        whole, parts = (
            read(tmp_path / name / split) for name in ("whole", "parts")
        )
        assert whole.keys() == parts.keys()
        for tag in set(whole) - {"keras", CONFIG_SUMMARY_TAG}:
            assert steps(parts, tag) == steps(whole, tag), tag
        tags = [
            tag
            for tag, [(_, value), *_] in whole.items()
            if value.dtype == "float32"
            and not value.ndim
            and not tag.startswith("speed/")
        ]
        assert len(tags) == {"train": 20, "validation": 4}[split]
        for tag in tags:
            np.testing.assert_allclose(
                values(parts, tag), values(whole, tag), rtol=1e-4, err_msg=tag
            )


def test_groups_are_not_measured_on_demand(tmp_path):
    for frequency, expected in ((0, None), (2, [0, 2])):
        folder = tmp_path / str(frequency)
        board = TransferBoard(folder, group_freq=frequency)
        fit(compile_model(build()), board, epochs=4)
        logs = read(folder / "train")
        if expected is None:
            assert not any(re.match("drift|update|gradient", t) for t in logs)
        else:
            assert steps(logs, "drift/head") == expected


def test_settings_are_beside_what_came_of_them(tmp_path, serve):
    for rate in (0.01, 0.1):
        board = TransferBoard(
            tmp_path / f"run_{rate}",
            settings={"rate": rate, "model": "small", "views": None},
        )
        model = compile_model(build(), rate=rate)
        history = fit(model, board, epochs=2, validate=True).history
        board.write_text("report", "**well**")
    logs = read(tmp_path / "run_0.1" / "train")
    assert texts(logs, "report") == ["**well**"] and steps(logs, "report") == [
        1
    ]
    ask = serve(tmp_path)
    query = {
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS"],
        "colParams": [],
        "startIndex": 0,
        "sliceSize": 9,
    }
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        request = urllib.parse.quote(json.dumps(query))
        try:
            groups = ask(f"hparams/session_groups?request={request}")
            groups = groups["sessionGroups"]
        except urllib.error.HTTPError:
            continue  # nothing is loaded yet
        if len(groups) == 2 and all(g["metricValues"] for g in groups):
            break
    [group] = [g for g in groups if g["hparams"]["rate"] == 0.1]
    assert group["hparams"]["model"] == "small"
    found = {
        (value["name"]["group"], value["name"]["tag"]): value["value"]
        for value in group["metricValues"]
    }
    assert set(found) == {
        (split, tag)
        for split in ("train", "validation")
        for tag in ("epoch_loss", "epoch_accuracy")
    }
    expected = history["val_accuracy"][-1]
    assert abs(found["validation", "epoch_accuracy"] - expected) < 1e-6


def test_pictures_show_each_phase_as_it_ended(tmp_path):
    model = compile_model(build(), eager=False)
    model.optimizer.build(model.trainable_variables)
    for layer in model.layers[:-1]:
        layer.trainable = False
    data = example_data()
    board = TransferBoard(tmp_path, validation_data=data, class_names=NAMES)
    drawn = []

    class Remember(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch in (1, 3):
                found = draw_answers(self.model, data, NAMES)
                drawn.append(found["reliability"])

    fit(model, board, Unfreeze(2, rate=0.5), Remember(), epochs=4)
    # A phase that begins with another `fit` has been drawn already.
    fit(model, board, epochs=5, initial_epoch=4)
    logs = read(tmp_path / "validation")
    for tag in ("f1", "confusion_matrix_shares", "reliability"):
        assert steps(logs, tag) == [1, 3, 4]
    for (_, value), picture in zip(logs["reliability"], drawn, strict=False):
        decoded = tf.image.decode_png(value[2]).numpy()
        np.testing.assert_array_equal(decoded, picture)


def test_a_model_that_its_first_step_builds_is_followed_from_there(tmp_path):
    layers = keras.layers.Dense(8), keras.layers.Dense(3, activation="softmax")
    model = compile_model(keras.Sequential(layers), eager=False)
    fit(model, TransferBoard(tmp_path), epochs=3)
    logs = read(tmp_path / "train")
    for tag in ("drift/head", "gradient/head", "update/head"):
        assert steps(logs, tag) == [1, 2]


def test_several_replicas_are_watched(tmp_path):
    data = example_data()
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = compile_model(build(), eager=False)
    fit(model, TransferBoard(tmp_path, validation_data=data), validate=True)
    logs = read(tmp_path / "train")
    assert {"speed/examples_per_second", "drift/head"} <= set(logs)


def test_a_report_is_of_the_weights_of_its_epoch(tmp_path):
    data = example_data()
    board = TransferBoard(tmp_path, validation_data=data, class_report_freq=2)
    matrices = {}

    class Remember(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            predicted = self.model.predict(data[0], verbose=0).argmax(1)
            matrix = confusion_matrix(data[1], predicted, 3)
            matrices[epoch] = class_report_markdown(matrix, [0, 1, 2])

    model = compile_model(build(), rate=0.1, eager=False)
    model.fit(
        *data,
        validation_data=data,
        validation_freq=2,
        epochs=5,
        callbacks=[Remember(), board],
        verbose=0,
    )
    logs = read(tmp_path / "validation")
    assert steps(logs, "class_report") == [0, 2, 4]
    expected = [matrices[epoch] for epoch in (0, 2, 4)]
    assert texts(logs, "class_report") == expected


def test_weights_that_are_added_between_two_fits_are_followed(tmp_path):
    model, board = compile_model(build()), TransferBoard(tmp_path)
    fit(model, board)
    first = model.layers[0]
    first.enable_lora(2)
    fit(compile_model(model), board, initial_epoch=1, epochs=3)
    logs = read(tmp_path / "train")
    assert steps(logs, "gradient/stem") == [0, 1, 2]
    # The kernel is frozen now, and what was added was 0.
    assert values(logs, "update/stem")[-1] > 0


def test_figures_are_shown_beside_the_other_pictures(tmp_path):
    figure = Figure(figsize=(3, 2), dpi=100)
    figure.add_subplot().plot([1, 2])
    canvas, board = figure.canvas, TransferBoard(tmp_path)
    board.write_figure("before", figure)
    fit(compile_model(build()), board, epochs=3)
    board.write_figure("after", figure)
    assert figure.canvas is canvas
    logs = read(tmp_path / "train")
    for tag, step in (("before", 0), ("after", 2)):
        [(found, (width, height, encoded))] = logs[tag]
        assert (int(width), int(height), found) == (300, 200, step)
        assert tf.io.decode_image(encoded).shape == (200, 300, 3)


def test_a_run_that_had_ended_is_not_written_again(tmp_path):
    for _ in range(2):
        board = TransferBoard(tmp_path / "logs")
        backup = PhaseBackup(tmp_path / "backup")
        fit(compile_model(build()), board, backup, epochs=2)
        board.write_text("report", "fine")
        board.write_text("other", "word")
    logs = read(tmp_path / "logs" / "train")
    assert steps(logs, "report") == [1] == steps(logs, "other")
    assert steps(logs, "epoch_loss") == [0, 1]


def test_batches_of_a_broken_epoch_are_not_written_again(tmp_path):
    def train(*callbacks):
        keras.utils.set_random_seed(0)
        board = TransferBoard(tmp_path / "logs", update_freq=1)
        backup = PhaseBackup(tmp_path / "backup")
        fit(compile_model(build()), board, backup, *callbacks, epochs=4)

    with pytest.raises(KeyboardInterrupt):
        train(Kill("within"))
    train()
    logs = read(tmp_path / "logs" / "train")
    assert steps(logs, "batch_loss") == list(range(1, 4 * STEPS + 1))


def test_a_phase_says_why_it_begins(tmp_path):
    phases = [
        kt.Phase("head", 3, 0.0, patience=1),  # it never improves
        kt.Phase("top:1", 1, 0.1),
        kt.Phase("all", 1, 0.1),
    ]
    fit(
        compile_model(build()),
        kt.GradualUnfreezing(phases),
        TransferBoard(tmp_path),
        epochs=5,
        validate=True,
    )
    reasons = [
        text.rpartition("| why now | ")[2]
        for text in texts(read(tmp_path / "train"), "phase")
    ]
    assert reasons == [
        "the training begins |",
        r"val\_loss had not improved for an epoch |",
        "the phase before has had its epoch |",
    ]


@pytest.mark.parametrize("resumed", [False, True])
def test_gradients_are_followed_through_schedules(tmp_path, resumed):
    phases = [
        kt.Phase("head", 2, 0.1, schedule="cosine"),
        kt.Phase("all", 2, 0.1, schedule="one_cycle"),
        kt.Phase("all", 1, 0.1),
    ]

    def train(*callbacks):
        keras.utils.set_random_seed(0)
        fit(
            compile_model(build(), eager=False),
            kt.GradualUnfreezing(phases),
            PhaseBackup(tmp_path / "backup"),
            TransferBoard(tmp_path),
            *callbacks,
            epochs=5,
        )

    if resumed:
        with pytest.raises(KeyboardInterrupt):
            train(Kill("within"))
    train()
    logs = read(tmp_path / "train")
    assert steps(logs, "gradient/head") == [0, 1, 2, 3, 4]
    assert steps(logs, "gradient/stem") == [2, 3, 4]
    assert all(value > 0 for value in values(logs, "gradient/stem"))
