"""Parts of the data that do worse than the rest."""

import numpy as np
import pytest

from keras_transfer.board.wilson_interval import wilson_interval
from keras_transfer.insight.slices import slice_rows


def test_rows_of_each_value():
    right = np.array([True, True, False, True, False])
    rows = slice_rows(right, {"side": ["l", "l", "l", "r", "r"], "n": range(5)})
    assert [row["slice"] for row in rows] == ["side"] * 2 + ["n"] * 5
    assert [row["value"] for row in rows[:2]] == ["l", "r"]
    first = rows[0]
    assert first["accuracy"] == pytest.approx(2 / 3)
    assert (first["low"], first["high"]) == wilson_interval(2 / 3, 3)
    assert first["examples"] == 3
    assert not any(row["worse"] for row in rows)


def test_worse_and_better_are_told_apart():
    right = np.repeat([1, 0, 1], [60, 40, 50])
    part = np.repeat(["low", "high"], [100, 50])
    worse = {r["value"]: r["worse"] for r in slice_rows(right, {"": part})}
    assert worse == {"low": True, "high": False}


def test_chance_among_many_parts_is_no_alarm():
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        right = random.random(400) < 0.7
        parts = random.integers(0, 20, 400)
        alarms += any(row["worse"] for row in slice_rows(right, {"": parts}))
    assert alarms <= 6  # 0.05 of 60 are 3


def test_values_of_several_kinds():
    rows = slice_rows([1, 0, 1], {"age": [None, "old", 3]})
    assert [row["value"] for row in rows] == ["3", "None", "old"]


def test_another_number_of_values():
    with pytest.raises(ValueError, match="each of the 2 validation examples"):
        slice_rows([1, 0], {"camera": ["phone"]})
