"""Sentences on what a training was worth."""

import numpy as np
import pytest

from keras_transfer.insight import baselines as named
from keras_transfer.insight.baselines import Baselines
from keras_transfer.insight.bootstrap import luck_of_the_best
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
    assert found[2] == "So this is negative transfer."
    assert "features alone are worse" in found[3]
    assert "rank_backbones" in found[4] and '"scratch"' in found[4]
    assert len(found) == 5


def test_a_model_below_its_own_features_is_not_the_sources_fault():
    found, _ = transfer(0.5, 0.85, 0.8)
    assert "it is not the source that is wrong" in found[2]
    assert not any("negative" in sentence for sentence in found)


def test_features_that_are_worse_than_none():
    found, _ = transfer(0.95, 0.4, 0.7)
    assert found[2] == "So transfer helps."
    assert "features alone are worse" in found[3]
    assert "training made up for it" in found[3]
    # Where training made up for most of it, that is no harm.
    found, _ = transfer(0.83, 0.5, 0.84)
    assert found[2] == "So whether transfer helps is not clear."
    assert "features alone are worse" in found[3]


def told(lost, won, same=100, **others):
    """Describe a model that lost and won so many against the pixels."""
    pixels = np.repeat([1.0, 0, 1], [lost, won, same])
    model = np.repeat([0.0, 1, 1], [lost, won, same])
    others = {name: np.full(len(model), part) for name, part in others.items()}
    known = {named.REGRESSION: model, named.PIXELS: pixels, **others}
    return describe_transfer(model, Baselines(known, "validation", 1.0))


def test_the_more_a_model_loses_the_surer_is_the_verdict():
    # Of all lost and won, by the normal distribution: odds of less than nine
    # to one, of 19 to one, and of 1,000 to one.
    words = [told(lost, won)[2] for lost, won in ((12, 9), (15, 7), (20, 3))]
    assert words == [
        "So whether transfer helps is not clear.",
        "So this probably is negative transfer.",
        "So this is negative transfer.",
    ]
    words = [told(lost, won)[2] for lost, won in ((9, 12), (7, 15), (3, 20))]
    assert words == [
        "So whether transfer helps is not clear.",
        "So transfer probably helps.",
        "So transfer helps.",
    ]


def test_a_small_loss_is_not_worth_a_warning_unless_it_is_certain():
    # About 1.5 points, once of 400 and once of 8,000 examples.
    assert told(12, 6, 382)[2] == "So whether transfer helps is not clear."
    assert told(240, 120, 7640)[2] == "So this is negative transfer."


def test_scratch_is_recommended_unless_all_is_certain():
    tip = '`baselines="scratch"`'
    assert any(tip in sentence for sentence in told(15, 7))
    assert not any(tip in sentence for sentence in told(20, 3))
    tried = told(15, 7, **{named.SCRATCH: 0.0})
    assert not any(tip in sentence for sentence in tried)


def test_what_is_not_clear_is_called_so():
    found, _ = transfer(0.8, 0.78, 0.8)
    assert found[2] == "So whether transfer helps is not clear."
    assert '`baselines="scratch"`' in found[3]


def test_false_alarms_are_rare():
    random = np.random.default_rng(1)
    alarms, certain = 0, 0
    for _ in range(200):
        right = {
            name: (random.random(150) < 0.6).astype(float)
            for name in (named.REGRESSION, named.PIXELS, named.SCRATCH, "model")
        }
        model = right.pop("model")
        found = describe_transfer(model, Baselines(right, "validation", 1.0))
        alarms += any("negative" in sentence for sentence in found)
        certain += any("this is negative" in sentence for sentence in found)
    # One in ten and one in forty, if the luck of the better of two was known.
    assert alarms / 200 < 0.15
    assert certain / 200 < 0.05


def test_the_best_of_several_was_lucky():
    random = np.random.default_rng(2)
    found, true = [], []
    for _ in range(400):
        right = random.random((4, 200)) < 0.6
        found.append(luck_of_the_best(right))
        true.append(right.mean(axis=1).max() - 0.6)
    # All are as good, so the best is better by luck alone: by 1.03 standard
    # errors, of which resampling sees the most part.
    assert np.mean(true) == pytest.approx(1.03 * (0.24 / 200) ** 0.5, rel=0.1)
    assert 0.6 < np.mean(found) / np.mean(true) < 1.1
    # One alone has not been chosen, and the far better one not by luck.
    assert luck_of_the_best(right[:1]) == 0
    far = np.arange(200) < 190
    assert luck_of_the_best([far, *right]) < 0.001


def test_slices_that_are_worse_are_named():
    right = np.repeat([1, 0, 1, 0], [80, 20, 10, 30])
    camera = np.repeat(["phone", "scanner"], [100, 40])
    [sentence] = describe_slices(slice_rows(right, {"camera": camera}))
    assert "camera scanner (0.250, " in sentence and "phone" not in sentence
    assert describe_slices([]) == []
