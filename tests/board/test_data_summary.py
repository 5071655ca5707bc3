import numpy as np
import pytest

from keras_transfer.board.data_summary import (
    LabelCounts,
    count_labels,
    data_markdown,
    list_warnings,
)

NAMES = ["ant", "bee", "cow"]


@pytest.mark.parametrize(
    "labels, outputs, counts",
    [
        ([0, 2, 2], 3, [1, 0, 2]),
        ([[0], [2], [2]], 3, [1, 0, 2]),
        ([[1, 0, 0], [0, 0, 1]], 3, [1, 0, 1]),
        ([[0.9, 0.05, 0.05]], 3, [1, 0, 0]),
        ([[1, 1, 0], [0, 0, 0]], 3, [1, 1, 0]),
        ([0.0, 1.0, 1.0], 1, [1, 2]),
        ([True, False], 1, [1, 1]),
    ],
)
def test_labels_of_all_kinds_are_counted(labels, outputs, counts):
    found = count_labels(np.array(labels), outputs)
    assert found.examples == len(labels)
    assert found.classes.tolist() == counts


@pytest.mark.parametrize(
    "labels",
    [None, [0.5, 1.2], [0, 3], [-1, 0], [], [["a"], ["b"]], {"a": [1]}],
)
def test_what_are_no_labels_is_not_counted(labels):
    if not isinstance(labels, dict | None):
        labels = np.array(labels)
    assert count_labels(labels, 3) is None


def counts(*classes):
    return LabelCounts(sum(classes), np.array(classes))


def test_good_data_has_no_warnings():
    assert (
        list_warnings(counts(500, 600, 700), counts(400, 400, 300), NAMES) == []
    )


def test_warnings_name_what_is_wrong():
    few, uneven, unseen, uncertain = list_warnings(
        counts(4, 50, 20), counts(20, 20, 0), NAMES
    )
    assert few.startswith("few examples to learn from: ant (4).")
    assert uneven.startswith("imbalance: bee has 12.5 times")
    assert unseen == "no examples to be judged by: cow."
    assert "40 examples is uncertain" in uncertain
    many = list_warnings(counts(*[3] * 12), None, list(range(12)))
    assert "7 (3) and 4 more classes" in many[0]


def test_markdown_has_a_table_of_the_classes_rarest_first():
    text = data_markdown(
        counts(40, 20, 30), counts(4, 2, 3), ["a|b", *NAMES[1:]]
    )
    lines = text.splitlines()
    assert "| examples | 90 | 9 |" in lines
    assert "| most frequent | a\\|b (44.4%) | a\\|b (44.4%) |" in lines
    classes = lines[lines.index("| class | training | validation |") + 2 :]
    assert classes == [
        "| bee | 20 | 2 |",
        "| cow | 30 | 3 |",
        "| a\\|b | 40 | 4 |",
    ]


def test_one_side_may_be_unknown():
    text = data_markdown(None, counts(40, 20, 30), NAMES)
    assert "training" not in text and "| examples | 90 |" in text
