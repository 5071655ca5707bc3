"""Phases and the board in a plain `fit` of a model for several tasks."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.caching.present_answers import (
    present_answers,
    whole_answers,
)
from tests.callbacks.test_transfer_board import read, texts, values
from tests.several_tasks import build, examples


def test_phases_and_pages_in_one_fit(tmp_path):
    x, y = examples(32)
    y["dark"] = np.nan_to_num(y["dark"])  # of this one, none is missing
    model = build(balance="uncertainty")
    model.compile("adam", run_eagerly=True)
    phases = [kt.Phase("head", 1, 0.05), kt.Phase("top:1", 1, 0.01)]
    unfreezing = kt.GradualUnfreezing(phases)
    board = kt.TransferBoard(tmp_path, validation_data=(x, y))
    backbone = model.get_layer("backbone")
    weights = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(
            (
                model.task_weights(),
                backbone.get_layer("block3_conv").get_weights(),
            )
        )
    )
    model.fit(
        x,
        y,
        validation_data=(x, y),
        epochs=2,
        callbacks=[unfreezing, board, watch],
        verbose=0,
    )
    (first, frozen), (second, live) = weights
    assert first.keys() == second.keys() and first != second
    assert not np.array_equal(frozen[0], live[0])

    logs = read(tmp_path / "validation")
    outputs = model.predict(x, verbose=0)
    for name, guesses in (
        ("colour", outputs["colour"].argmax(axis=1)),
        ("dark", outputs["dark"][:, 0] > 0.5),
    ):
        known = y[name] >= 0
        report = texts(logs, f"class_report/{name}")[-1]
        rows = [row.split("|") for row in report.splitlines()[2:-1]]
        assert sum(int(row[5]) for row in rows) == known.sum()
        right = (guesses == y[name])[known].sum()
        recalled = sum(float(row[3]) * int(row[5]) for row in rows)
        assert recalled == pytest.approx(right, abs=0.1)
        for tag in ("confusion_matrix", "f1", "reliability"):
            assert f"{tag}/{name}" in logs
    assert "precision_recall/tags/left" in logs
    assert "confident_mistakes/dark" in logs
    assert not any("class_report/shade" in tag for tag in logs)
    # What is shown of single examples needs the labels of all of them.
    assert "confident_mistakes/colour" not in logs
    table = (tmp_path / "projector" / "metadata.tsv").read_text()
    assert table.startswith("class of dark\tpredicted of dark")

    # The optimizer knows of a group that is frozen again, in a file as well.
    kt.set_trainable(model, "head")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    states = [each.optimizer.variables for each in (model, loaded)]
    for old, new in zip(*states, strict=True):
        np.testing.assert_array_equal(old, new)

    curves = read(tmp_path / "train")
    for name, weight in second.items():
        curve = values(curves, f"task_weight/{name}")
        assert curve[-1] == pytest.approx(weight, rel=1e-5)


def test_answers_to_missing_labels_are_left_out():
    model = build()
    labels = {
        "colour": np.array([0, -1, 2]),
        "dark": np.array([[1.0], [0.0], [1.0]]),
        "shade": np.array([0.5, 0.5, 0.5]),
        "tags": np.array([[0, 1], [1, 1], [-1, 1]]),
    }
    answers = {name: (part, np.arange(3)) for name, part in labels.items()}
    found = present_answers(model, answers)
    assert {name: rows.tolist() for name, (_, rows) in found.items()} == {
        "colour": [0, 2],
        "dark": [0, 1, 2],
        "tags": [0, 1],
    }
    assert list(whole_answers(model, answers)) == ["dark"]
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert present_answers(other, answers) == answers
    assert whole_answers(other, answers) == answers
