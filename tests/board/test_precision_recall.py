import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import precision_score, recall_score
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.pr_curve import metadata

from keras_transfer.board.precision_recall import (
    count_over_thresholds,
    write_precision_recall,
)


def test_counts_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=200).round(2)
    truth = rng.uniform(size=200) < scores
    found = count_over_thresholds(truth, scores, 101)
    for step in (0, 7, 29, 50, 58, 99):
        yes = scores >= step / 100 - 1e-9
        assert found[0, step] == np.sum(yes & truth)
        assert found[1, step] == np.sum(yes & ~truth)
        assert found[2, step] == np.sum(~yes & ~truth)
        assert found[3, step] == np.sum(~yes & truth)
        options = {"zero_division": 0}
        assert found[4, step] == pytest.approx(
            precision_score(truth, yes, **options)
        )
        assert found[5, step] == pytest.approx(
            recall_score(truth, yes, **options)
        )


def write(folder, *args, **kwargs):
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        write_precision_recall(*args, step=3, **kwargs)
    writer.close()
    events = EventAccumulator(str(folder), {"tensors": 0}).Reload()
    tags = (
        events.PluginTagToContent(metadata.PLUGIN_NAME)
        if (metadata.PLUGIN_NAME in events._plugin_to_tag_to_content)
        else {}
    )
    return {
        tag: tf.make_ndarray(events.Tensors(tag)[0].tensor_proto)
        for tag in tags
    }


OUTPUTS = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1]])


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("one_hot", [False, True])
def test_each_class_with_examples_has_a_curve(tmp_path, from_logits, one_hot):
    labels = np.array([0, 1, 1])
    found = write(
        tmp_path,
        np.eye(3)[labels] if one_hot else labels,
        np.log(OUTPUTS) if from_logits else OUTPUTS,
        ["ant", "bee", "cow"],
        from_logits=from_logits,
    )
    assert set(found) == {"precision_recall/ant", "precision_recall/bee"}
    # At 0.45, ant is said of the first and the third.
    assert found["precision_recall/ant"][:, 45].tolist() == [1, 1, 1, 0, 0.5, 1]


def test_of_labels_in_shares_the_largest_counts(tmp_path):
    labels = np.array([[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.4, 0.6, 0]])
    found = write(tmp_path, labels, OUTPUTS, ["ant", "bee", "cow"])
    assert set(found) == {"precision_recall/ant", "precision_recall/bee"}
    assert found["precision_recall/bee"][:4, 0].tolist() == [2, 1, 0, 0]


def test_classes_of_one_name_have_a_curve_each(tmp_path):
    names = ["ant", "ant", "bee"]
    found = write(tmp_path, np.array([0, 1, 1]), OUTPUTS, names)
    assert set(found) == {
        "precision_recall/ant (0)",
        "precision_recall/ant (1)",
    }
    assert found["precision_recall/ant (1)"][0, 45] == 1


def test_only_the_first_hundred_classes_have_a_curve(tmp_path):
    outputs = np.eye(103)
    found = write(tmp_path, np.arange(103), outputs, list(range(103)))
    assert set(found) == {f"precision_recall/{n}" for n in range(100)}


def test_one_output_has_the_curve_of_the_second_class(tmp_path):
    outputs = np.array([[0.2], [0.9]])
    found = write(tmp_path, np.array([0, 1]), outputs, ["no", "yes"])
    assert set(found) == {"precision_recall/yes"}
    assert found["precision_recall/yes"][:2, 50].tolist() == [1, 0]


def test_of_several_labels_each_is_a_yes_or_no(tmp_path):
    labels, logits = np.array([[1, 1], [0, 1]]), np.array([[9.0, 9], [-9, 9]])
    found = write(tmp_path, labels, logits, ["a", "b"], multi_label=True)
    assert found["precision_recall/a"][:4, 50].tolist() == [1, 0, 1, 0]
    assert found["precision_recall/b"][:4, 50].tolist() == [2, 0, 0, 0]
