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
        ([[0.4, 0.3, 0.3], [0.3, 0.3, 0.4]], 3, [1, 0, 1]),
        ([[0.9, 0.1, 0.8], [0.1, 0.1, 0.1]], 3, [1, 0, 1]),
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
    [
        None,
        [0.5, 1.2],
        [0, 3],
        [-1, 0],
        [],
        [np.nan, 1],
        [["a"], ["b"]],
        {"a": [1]},
        [[0.5, 1.2, 0.1]],
        [[1.5, -0.5, 0]],
        [[np.nan, 1, 0]],
    ],
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
    nearly = list_warnings(counts(*[3] * 9), None, list(range(9)))
    assert "7 (3) and 1 more classes" in nearly[0]


def test_imbalance_is_about_the_classes_that_there_are():
    [unseen] = list_warnings(counts(60, 50, 0), None, NAMES)
    assert unseen.startswith("no examples to learn from: cow")


@pytest.mark.parametrize("examples, warns", [(244, True), (248, False)])
def test_an_accuracy_is_uncertain_by_more_than_ten_points(examples, warns):
    # Wilson (1927), 95 %: of 80 %, 0.100 wide at 246.
    each = counts(examples // 2, examples // 2)
    found = list_warnings(None, each, NAMES[:2])
    assert any("is uncertain" in warning for warning in found) == warns


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


def test_classes_of_one_name_have_a_row_each():
    text = data_markdown(counts(40, 20, 30), None, ["a", "a", "b"])
    lines = text.splitlines()
    assert lines[-3:] == ["| a | 20 |", "| b | 30 |", "| a | 40 |"]


def test_of_many_classes_the_rarest_are_shown():
    each = counts(*range(1, 204))
    lines = data_markdown(each, None, list(range(203))).splitlines()
    start = lines.index("| class | training |") + 2
    assert lines[start] == "| 0 | 1 |"
    assert lines[start + 199 :] == [
        "| 199 | 200 |",
        "",
        "The 200 rarest of 203 classes.",
    ]


def test_one_side_may_be_unknown():
    text = data_markdown(None, counts(40, 20, 30), NAMES)
    assert "training" not in text and "| examples | 90 |" in text
