"""Scores of each class: against scikit-learn, and as a table."""

import markdown
import numpy as np
import pytest
from sklearn.metrics import (
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
)

from keras_transfer.board.class_report import (
    class_report_markdown,
    class_rows,
    class_scores,
    escape_markdown,
)
from keras_transfer.data.outcomes import confusion_matrix, count_outcomes

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 4])
PREDICTIONS = np.array([0, 1, 2, 1, 1, 2, 2, 0, 4, 2])
# Class 3 is neither present nor predicted, class 5 is absent but predicted.
LABELS = np.append(LABELS, 4)
PREDICTIONS = np.append(PREDICTIONS, 5)
MATRIX = confusion_matrix(LABELS, PREDICTIONS, 6)


def test_scores_are_those_of_scikit_learn():
    expected = precision_recall_fscore_support(
        LABELS, PREDICTIONS, labels=range(6), zero_division=np.nan
    )
    for ours, theirs in zip(class_scores(MATRIX), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_multi_label_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, outputs = rng.random((50, 4)) < 0.4, rng.random((50, 4))
    counts = count_outcomes(labels.astype("float32"), outputs)
    np.testing.assert_array_equal(
        counts, multilabel_confusion_matrix(labels, outputs > 0.5)
    )
    expected = precision_recall_fscore_support(labels, outputs > 0.5)
    for ours, theirs in zip(class_scores(counts), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_rows_are_plain_data():
    rows = class_rows([[3, 1], [0, 2]], ["cat", "dog"])
    assert rows[0] == {
        "class": "cat",
        "precision": 1.0,
        "recall": 0.75,
        "f1": 6 / 7,
        "support": 4,
    }
    assert [type(value) for value in rows[1].values()] == [
        str,
        float,
        float,
        float,
        int,
    ]


def test_rows_need_a_name_for_each_class():
    with pytest.raises(ValueError, match="2 classes.*cat"):
        class_rows([[3, 1], [0, 2]], ["cat"])


def test_table_starts_with_the_weakest_class_and_ends_with_the_mean():
    lines = class_report_markdown(MATRIX, list("abcdef")).splitlines()[2:]
    assert [line.split()[1] for line in lines[:-1]] == list("efacbd")
    assert lines[0] == "| e | 0.000 | 0.000 | 0.000 | 2 |"
    assert lines[-2] == "| d | – | – | – | 0 |"
    precision, recall, f1, support = class_scores(MATRIX)
    mean = [np.mean(s[support > 0]) for s in (precision, recall, f1)]
    assert lines[-1] == (
        "| **mean of the classes** | "
        + " | ".join(f"{score:.3f}" for score in mean)
        + " | 11 |"
    )


def test_an_undefined_score_counts_as_0_in_the_mean():
    collapsed = [[4, 0], [4, 0]]
    *_, never_predicted, mean = class_report_markdown(
        collapsed, ["a", "b"]
    ).splitlines()
    assert mean.startswith("| **mean of the classes** | 0.250 | 0.500 |")
    assert "| a | 0.500 |" in never_predicted


@pytest.mark.parametrize(
    "name",
    [
        "snake_case_name",
        "a|b",
        "C#",
        "<b>x</b>",
        "*x*",
        "[x](y)",
        r"\d",
        "&lt;",
    ],
)
def test_names_are_shown_as_they_are(name):
    shown = name.replace("&", "&amp;").replace("<", "&lt;")
    shown = shown.replace(">", "&gt;")
    table = class_report_markdown([[1, 0], [0, 1]], [name, "other"])
    heading = f"### {escape_markdown(name)}"
    page = markdown.markdown(f"{heading}\n\n{table}", extensions=["tables"])
    assert f"<h3>{shown}</h3>" in page
    assert f"{shown}</td>" in page
