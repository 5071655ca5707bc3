"""The example, on real weights and the pictures that come with it."""

import re

import keras
import numpy as np

import keras_transfer as kt
from tests.examples.run_script import run_script


def test_all_tasks_are_learned_from_some_of_the_labels(tmp_path):
    arguments = "--side 65 --epochs 8 --labelled 0.6 --save end.keras"
    text = run_script("multitask", arguments, tmp_path)
    counts = re.findall(r"(\w+): (\d+) of 460 labels", text)
    assert [task for task, _ in counts] == ["subject", "animal", "covered"]
    assert all(0.5 < int(count) / 460 < 0.7 for _, count in counts)
    value, constant = {}, {}
    for task, *numbers in re.findall(
        r"^(\w+) +(?:accuracy|mean absolute error) +([\d.]+) +([\d.]+) +125$",
        text,
        re.MULTILINE,
    ):
        value[task], constant[task] = map(float, numbers)
    assert value["subject"] > 0.3 > constant["subject"]
    assert value["animal"] > constant["animal"]
    assert value["covered"] < constant["covered"]

    model = keras.models.load_model(tmp_path / "end.keras")
    said = re.findall(r"loss of (\w+) is multiplied by ([\d.]+)", text)
    assert {task: f"{w:.2f}" for task, w in model.task_weights().items()} == {
        task: weight for task, weight in said
    }
    white = np.full((1, 65, 65, 3), 255, "uint8")
    answers = model.predict(white, verbose=0)
    decoded = kt.decode_predictions(model, answers, top=1)
    assert len(decoded["subject"][0]) == 1 and decoded["covered"][0] < 0.3
