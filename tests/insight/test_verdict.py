"""Sentences on what a training was worth."""

import numpy as np
import pytest

from keras_transfer.insight import baselines as named
from keras_transfer.insight.baselines import Baselines
from keras_transfer.insight.slices import slice_rows
from keras_transfer.insight.verdict import (
    describe_accuracy,
    describe_gain,
    describe_slices,
    describe_transfer,
)


def accuracy(value, examples=100, supports=None, **changes):
    supports = {"ant": 30, "bee": 70} if supports is None else supports
    settings = {"measured_on": "validation", "is_chosen": False, **changes}
    return describe_accuracy(value, examples, supports, **settings)


def test_an_accuracy_comes_with_its_interval_and_with_chance():
    # The interval is Wilson's, as in statsmodels' `proportion_confint`.
    assert accuracy(0.9) == [
        "Verdict: 0.900 on 100 validation examples, so 0.826 to 0.945 on "
        "others like them (95 %).",
        'Always answering "bee" would give 0.700.',
    ]


def test_what_may_be_chance_is_called_so():
    assert "which may be as good" in accuracy(0.75)[-1]
    assert "which may be as good" not in accuracy(0.85)[-1]


def test_a_gain_is_called_luck_or_not():
    found = describe_gain(0.89, 0.91, 100)
    assert "+0.020, which luck may explain (±0.08" in found
    # Between one standard error and two.
    assert "luck may explain" in describe_gain(0.84, 0.9, 100)
    assert "+0.200: it helped." in describe_gain(0.7, 0.9, 100)
    harm = describe_gain(0.9, 0.7, 100)
    assert "-0.200: it did harm." in harm and '"extraction"' in harm
    # The same gain on more examples.
    assert "it helped" in describe_gain(0.89, 0.91, 5000)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_gain_where_nothing_can_be_gained_is_no_harm(value):
    assert "luck may explain" in describe_gain(value, value, 40)


def test_only_what_is_known_is_said():
    assert accuracy(0.9, examples=0) == []
    assert accuracy(float("nan")) == []
    assert len(accuracy(0.9, supports={})) == 1
    assert describe_gain(0.1, float("nan"), 100) == ""
    assert describe_gain(0.1, 0.2, 0) == ""


def test_what_flatters_is_said():
    assert "flatters" in accuracy(0.9, is_chosen=True)[1]
    assert "hold some back" in accuracy(0.9, measured_on="training")[1]


def transfer(model, probe, pixels, count=200):
    """Accuracies, of answers that have nothing to do with each other."""
    random = np.random.default_rng(0)
    right = [
        random.permutation(count) < share * count
        for share in (model, probe, pixels)
    ]
    model, probe, pixels = (part.astype(float) for part in right)
    known = {named.REGRESSION: probe, named.PIXELS: pixels}
    found = describe_transfer(model, Baselines(known, "validation", 1.0))
    return found, [part.mean() for part in (model, probe, pixels)]


def test_a_gain_over_all_that_knows_no_source():
    found, (model, probe, pixels) = transfer(0.9, 0.7, 0.4)
    assert f"gives {probe:.3f}" in found[0]
    assert f"differs by {model - probe:+.3f} (" in found[0]
    assert f"knows is {pixels:.3f} ({named.PIXELS})" in found[1]
    assert f"differs by {model - pixels:+.3f} (" in found[1]
    assert found[2:] == ["So transfer helps."]


def test_negative_transfer_is_said_plainly_with_what_to_try():
    found, _ = transfer(0.5, 0.4, 0.8)
    assert found[2].startswith("So this is negative transfer. The source's")
    assert "rank_backbones" in found[2] and '"scratch"' in found[2]
    assert len(found) == 3


def test_a_model_below_its_own_features_is_not_the_sources_fault():
    found, _ = transfer(0.5, 0.85, 0.8)
    assert "it is not the source that is wrong" in found[2]
    assert not any("negative" in sentence for sentence in found)


def test_features_that_are_worse_than_none():
    # Not clearly below the pixels, but below.
    found, (model, _, pixels) = transfer(0.8, 0.5, 0.84)
    assert -0.08 < model - pixels < 0
    assert found[2].startswith("So this probably is negative transfer.")
    assert '`baselines="scratch"`' in found[3]
    found, _ = transfer(0.95, 0.4, 0.7)
    assert found[2] == "So transfer helps."
    assert "features alone are worse" in found[3]


def test_what_is_not_clear_is_called_so():
    found, _ = transfer(0.8, 0.78, 0.8)
    assert found[2] == "So whether transfer helps is not clear."
    assert '`baselines="scratch"`' in found[3]


def test_false_alarms_are_rare():
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        right = {
            name: (random.random(150) < 0.6).astype(float)
            for name in (named.REGRESSION, named.PIXELS, named.SCRATCH, "model")
        }
        model = right.pop("model")
        found = describe_transfer(model, Baselines(right, "validation", 1.0))
        alarms += any("negative" in sentence for sentence in found)
    # One side of 95 %, of the better of two.
    assert alarms / 200 < 0.1


def test_slices_that_are_worse_are_named():
    right = np.repeat([1, 0, 1, 0], [80, 20, 10, 30])
    camera = np.repeat(["phone", "scanner"], [100, 40])
    [sentence] = describe_slices(slice_rows(right, {"camera": camera}))
    assert "camera scanner (0.250, " in sentence and "phone" not in sentence
    assert describe_slices([]) == []
