"""Reading runs back; TensorBoard's own reader is the oracle."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

from keras_transfer.board.read_run import read_run
from keras_transfer.callbacks.transfer_board import TransferBoard

FEATURES, CLASSES, EXAMPLES = 4, 3, 24


def log_run(
    folder, epochs=2, *, first=0, seed=0, phases=1, validate=True, **compiled
):
    """Train a tiny network in phases of some epochs each, with a board."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(EXAMPLES, FEATURES)).astype("float32")
    y = x[:, :CLASSES].argmax(axis=1)
    layers = [
        keras.layers.Dense(5, "relu", name="first"),
        keras.layers.Dense(CLASSES, "softmax", name="top"),
    ]
    model = keras.Sequential([keras.Input((FEATURES,)), *layers])
    board = TransferBoard(folder, validation_data=(x, y) if validate else None)
    compiled = {"metrics": ["accuracy"], **compiled}
    history = {}
    for phase in range(phases):
        model.compile(
            keras.optimizers.Adam(0.02),
            "sparse_categorical_crossentropy",
            run_eagerly=True,
            **compiled,
        )
        start = first + phase * epochs
        fitted = model.fit(
            x,
            y,
            validation_data=(x, y) if validate else None,
            initial_epoch=start,
            epochs=start + epochs,
            callbacks=[board],
            verbose=0,
        )
        for name, values in fitted.history.items():
            history.setdefault(name, []).extend(values)
    return history


def read_with_tensorboard(folder) -> tuple[dict, dict]:
    """Read the scalars of a folder by tag and step, and its last texts."""
    events = EventAccumulator(str(folder), {"tensors": 0})
    events.Reload()
    scalars, texts = {}, {}
    for tag in events.Tags()["tensors"]:
        plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
        for event in events.Tensors(tag):
            value = tf.make_ndarray(event.tensor_proto)
            if plugin == "scalars":
                scalars.setdefault((tag, event.step), []).append(value.item())
            elif plugin == "text":
                texts[tag] = value.item().decode()
    return scalars, texts


def points(run, split) -> dict:
    return {
        (row["tag"], row["step"]): row["value"]
        for row in run.scalars
        if row["split"] == split
    }


def event_file(folder):
    (file,) = folder.glob("*tfevents*")
    return file


def test_it_reads_what_tensorboard_reads(tmp_path):
    history = log_run(tmp_path, epochs=2, phases=2)
    run = read_run(tmp_path)
    texts = {}
    for split in ("train", "validation"):
        scalars, found = read_with_tensorboard(tmp_path / split)
        assert len(scalars) > 10
        expected = {key: value for key, (value,) in scalars.items()}
        assert points(run, split) == expected
        texts |= found
    assert run.texts == texts
    assert {"phase", "class_report"} <= run.texts.keys()
    assert run.texts["phase"].startswith("### phase 2")
    for split, name in (("train", "loss"), ("validation", "val_loss")):
        steps, values = run.curve("epoch_loss", split)
        assert steps.tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(values, history[name], rtol=1e-6)
    assert run.log_dir == str(tmp_path)


def test_scalars_are_records_in_order(tmp_path):
    log_run(tmp_path)
    scalars = read_run(str(tmp_path)).scalars
    keys = [(row["split"], row["tag"], row["step"]) for row in scalars]
    assert keys == sorted(set(keys))
    assert {split for split, _, _ in keys} == {"train", "validation"}
    for row in scalars:
        assert list(row) == ["split", "tag", "step", "value"]
        assert [type(value) for value in row.values()] == [str, str, int, float]


@pytest.mark.parametrize("reverse", [False, True])
def test_what_was_written_last_counts(tmp_path, reverse):
    log_run(tmp_path, epochs=4, seed=1)
    if reverse:
        for split in ("train", "validation"):
            file = event_file(tmp_path / split)
            file.rename(file.with_name("events.out.tfevents.9999999999.v2"))
    second = log_run(tmp_path, epochs=4, first=2, seed=2)
    run = read_run(tmp_path)
    scalars, _ = read_with_tensorboard(tmp_path / "train")
    assert len(scalars["epoch_loss", 2]) == 2
    steps, values = run.curve("epoch_loss", "train")
    assert steps.tolist() == list(range(6))
    np.testing.assert_allclose(values[2:], second["loss"], rtol=1e-6)
    first = [scalars["epoch_loss", step] for step in (0, 1)]
    assert values[:2].tolist() == [value for (value,) in first]


def test_a_broken_file_is_read_up_to_the_break(tmp_path, capfd, caplog):
    log_run(tmp_path)
    file = event_file(tmp_path / "train")
    whole, data = points(read_run(tmp_path), "train"), file.read_bytes()
    capfd.readouterr()
    counts = []
    for length in np.linspace(0, len(data) - 1, 9, dtype=int):
        file.write_bytes(data[:length])
        found = points(read_run(tmp_path), "train")
        assert found.items() <= whole.items()
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[0] == 0 and len(whole) - counts[-1] == 1
    middle = len(data) // 2
    file.write_bytes(data[:middle] + b"????" + data[middle + 4 :])
    found = points(read_run(tmp_path), "train")
    assert found.items() < whole.items()
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_other_folders_and_writers(tmp_path):
    for split, value in (("", 1.5), ("test", 2.5)):
        writer = tf.summary.create_file_writer(str(tmp_path / split))
        with writer.as_default():
            tf.summary.scalar("score", value, step=3)
            tf.summary.scalar("broken", float("nan"), step=3)
            tf.summary.text("several", ["a", "b"], step=3)
            tf.summary.histogram("weights", [1.0, 2.0], step=3)
        writer.close()
    number = tensor_util.make_tensor_proto(4.5)
    old = EventFileWriter(str(tmp_path / "old"))
    kind = {"plugin_data": {"plugin_name": "scalars"}}
    for step, value in (
        (4, {"tag": "score", "simple_value": 3.5}),
        (1, {"tag": "terse", "tensor": number, "metadata": kind}),
        (2, {"tag": "terse", "tensor": number}),
    ):
        summary = summary_pb2.Summary(value=[value])
        old.add_event(event_pb2.Event(step=step, summary=summary))
    old.close()
    run = read_run(tmp_path)
    assert run.tags == {
        "": ["broken", "score"],
        "old": ["score", "terse"],
        "test": ["broken", "score"],
    }
    assert run.curve("score", "")[1] == [1.5]
    assert run.curve("score", "test")[1] == [2.5]
    assert [part.item() for part in run.curve("score", "old")] == [4, 3.5]
    assert run.curve("terse")[0].tolist() == [1, 2]
    assert np.isnan(run.curve("broken", "test")[1])
    assert run.texts == {"several": "a\n\nb"}
    assert len(repr(run)) < 200


def test_curves_that_are_not_there(tmp_path):
    log_run(tmp_path)
    run = read_run(tmp_path)
    assert run.curve("phase/number")[1].tolist() == [1, 1]
    with pytest.raises(ValueError, match="'train'.*'epoch_accuracy'.*tag='f1'"):
        run.curve("f1")
    with pytest.raises(ValueError, match=r"one of \['train', 'validation'\]"):
        run.curve("epoch_loss")
    with pytest.raises(ValueError, match="Received: .*split='test'"):
        run.curve("epoch_loss", "test")


def test_a_folder_without_a_run(tmp_path):
    message = r"A run is .*Received: log_dir='.*', "
    with pytest.raises(ValueError, match=message + "which is no folder"):
        read_run(tmp_path / "missing")
    with pytest.raises(ValueError, match=message + "where there are none"):
        read_run(tmp_path)
    for name in ("a", "b", "group/c", "group/d"):
        for split in ("train", "validation"):
            folder = tmp_path / "[logs]" / name / split
            folder.mkdir(parents=True)
            (folder / "events.out.tfevents.1.v2").touch()
    with pytest.raises(ValueError, match=message + "with runs") as error:
        read_run(tmp_path / "[logs]")
    for name in ("a", "b", os.path.join("group", "c")):
        assert repr(str(tmp_path / "[logs]" / name)) in str(error.value)
    assert str(error.value).endswith(" and 1 more")
