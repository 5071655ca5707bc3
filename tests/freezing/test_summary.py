"""The table counts what Keras counts."""

import re

import keras
import pytest
from keras.src.utils.summary_utils import count_params

import keras_transfer as kt
from tests import networks

LAST = re.compile(
    r"trainable: ([\d,]+) \|\| all: ([\d,]+) \|\| (\d+\.\d\d) %\Z"
)


def last_line(model):
    trains, total, share = LAST.fullmatch(
        kt.trainable_summary(model).splitlines()[-1]
    ).groups()
    return (
        int(trains.replace(",", "")),
        int(total.replace(",", "")),
        float(share),
    )


def rows(model):
    lines = kt.trainable_summary(model).splitlines()[1:-1]
    return {
        name: (int(weights.replace(",", "")), int(live.replace(",", "")), state)
        for name, _, weights, live, state in (
            re.split(r" {2,}", line) for line in lines
        )
    }


@pytest.mark.parametrize("name", networks.NETWORKS)
@pytest.mark.parametrize("train", ["stem", "all", "none"])
def test_counts_agree_with_keras(name, train):
    model = networks.build(name)
    kt.set_trainable(model, train)
    trains, total, share = last_line(model)
    assert total == model.count_params()
    assert trains == count_params(model.trainable_weights)
    assert share == round(100 * trains / total, 2)
    assert sum(weights for weights, _, _ in rows(model).values()) == total
    assert sum(live for _, live, _ in rows(model).values()) == trains


def test_states():
    model = networks.build("cnn")
    kt.set_trainable(model, "top:1")
    assert rows(model)["block_2"] == (184, 0, "frozen")
    assert rows(model)["block_3"] == (184, 168, "trains, BatchNorm frozen")
    assert rows(model)["head"] == (15, 15, "trains")
    kt.set_trainable(model, "top:1", batch_norm="statistics")
    assert (
        rows(model)["block_3"][2] == "trains, BatchNorm adapts its statistics"
    )
    kt.set_trainable(model, "top:1", batch_norm="train")
    assert rows(model)["block_3"][1:] == (176, "trains, BatchNorm too")


def test_columns_line_up():
    lines = kt.trainable_summary(networks.build("cnn")).splitlines()
    assert lines[0].split() == [
        "group",
        "layers",
        "weights",
        "trainable",
        "state",
    ]
    column = lines[0].index("state")
    assert all(line[column - 3 : column] == "   " for line in lines[1:-1])
    assert [line.split()[0] for line in lines[1:-1]] == [
        group.name for group in kt.layer_groups(networks.build("cnn"))
    ]


def test_a_model_that_is_frozen_as_a_whole():
    """Its layers may say otherwise: `fit` asks the outermost model."""
    model = networks.build("cnn")
    model._trainable = False
    assert model.trainable_weights == []
    assert last_line(model)[0] == 0
    assert {state for _, _, state in rows(model).values()} <= {
        "frozen",
        "BatchNorm adapts its statistics",
    }


def test_without_weights():
    with pytest.raises(ValueError, match="Received: model="):
        kt.trainable_summary(keras.Sequential())
