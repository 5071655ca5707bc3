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
    count_outcomes,
    escape_markdown,
)
from keras_transfer.board.confusion_matrix import confusion_matrix

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 4])
PREDICTIONS = np.array([0, 1, 2, 1, 1, 2, 2, 0, 4, 2])
# Class 3 is neither present nor predicted, class 5 is absent but predicted.
LABELS = np.append(LABELS, 4)
PREDICTIONS = np.append(PREDICTIONS, 5)
MATRIX = confusion_matrix(LABELS, PREDICTIONS, 6)


def one_hot(labels, classes=6):
    return np.eye(classes, dtype="float32")[labels]


def sure(predictions, classes=6):
    return 0.05 + (1 - 0.05 * classes) * one_hot(predictions, classes)


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


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS[:, None], LABELS.astype("float32"), one_hot(LABELS)],
    ids=["integers", "column", "floats", "one-hot"],
)
@pytest.mark.parametrize("scale", [1, 30], ids=["probabilities", "logits"])
def test_single_label_outcomes(labels, scale):
    outputs = scale * sure(PREDICTIONS)
    np.testing.assert_array_equal(count_outcomes(labels, outputs), MATRIX)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_one_output_means_two_classes(shape):
    labels = np.array([0, 1, 1, 0]).reshape(shape)
    outputs = np.array([0.1, 0.4, 0.6, 0.2]).reshape(shape)
    expected = [[2, 0], [1, 1]]
    assert count_outcomes(labels, outputs).tolist() == expected
    logits = np.log(outputs / (1 - outputs))
    assert count_outcomes(labels, logits).tolist() == expected
    all_above_zero = count_outcomes(labels, outputs, from_logits=True)
    assert all_above_zero.tolist() == [[0, 2], [0, 2]]


def test_the_loss_settles_what_one_hot_labels_leave_open():
    labels, sigmoids = one_hot([0, 1], 2), np.array([[0.9, 0.7], [0.1, 0.2]])
    single = count_outcomes(labels, sigmoids)
    assert single.tolist() == [[1, 0], [0, 1]]
    multi = count_outcomes(labels, sigmoids, binary_loss=True)
    assert multi.tolist() == [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
    softmax = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert count_outcomes(labels, softmax, binary_loss=True).ndim == 2


@pytest.mark.parametrize(
    ("labels", "outputs"),
    [
        (np.array([0.5, 1.7]), np.array([[0.5], [0.2]])),
        (np.array([0.0, 7.0]), np.array([[0.5], [0.2]])),
        (np.array([-1.0, 1.0]), np.array([[0.5], [0.2]])),
        (np.array([[3.0, -1.0]]), np.array([[0.5, 0.2]])),
        (np.zeros((2, 4, 4)), np.zeros((2, 4, 4, 3))),
        (np.zeros((2, 3)), np.zeros((2, 5))),
        (np.array(["a", "b"]), np.zeros((2, 5))),
        (np.zeros(0), np.zeros((0, 3))),
    ],
)
def test_what_is_no_classifier_has_no_outcomes(labels, outputs):
    assert count_outcomes(labels, outputs) is None


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
