"""The text of a phase."""

import keras
import pytest

from keras_transfer.board.phase_text import group_ranges, phase_markdown

NAMES = ["stem", "block_1", "block_2", "block_3", "block_4", "head"]


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (NAMES, "stem to head"),
        ([], "none"),
        (["head"], "head"),
        (["stem", "head"], "stem, head"),
        (["block_4", "head"], "block_4, head"),
        (NAMES[1:4] + ["head"], "block_1 to block_3, head"),
    ],
)
def test_groups_are_named_by_ranges(live, expected):
    groups = [(name, name in live) for name in NAMES]
    assert group_ranges(groups, True) == expected
    others = [(name, name not in live) for name in NAMES]
    assert group_ranges(others, False) == expected


def test_text_of_a_phase():
    layers = [keras.layers.Dense(4), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    layers[0].trainable = False
    rates, notes = {"learning_rate": 1e-5}, {"why": "a|b"}
    text = phase_markdown(model, "a_b", rates, notes)
    assert text.splitlines() == [
        r"### a\_b",
        "",
        "| trains | head |",
        "|:--|:--|",
        "| frozen | stem |",
        "| trainable weights | 10 of 26 (38.46%) |",
        "| learning rate | 1e-05 |",
        r"| why | a\|b |",
    ]
