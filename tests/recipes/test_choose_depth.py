import pytest

from keras_transfer.recipes.choose_depth import (
    DepthOption,
    choose_option,
    count_trial_steps,
    needs_lower_rate,
    weigh_depths,
)
from tests.recipes.test_recommend import classifier, stripes


def options(*gains, seconds=(0.0, 1.0, 2.0, 4.0)):
    names = ("head", "top:1", "top:2", "all")
    return [
        DepthOption(name, groups, expected=(gain, 0.1), seconds=time)
        for name, groups, gain, time in zip(
            names, (0, 1, 2, 4), gains, seconds, strict=True
        )
    ]


@pytest.mark.parametrize(
    ("gains", "most_seconds", "expected"),
    [
        ((0, 0.01, 0.02, 0.05), None, "all"),
        ((0, 0.01, 0.046, 0.05), None, "top:2"),  # hardly worse
        ((0, 0.002, 0.003, 0.004), None, "head"),
        ((0, -0.01, -0.02, -0.05), None, "head"),
        ((0, 0.01, 0.02, 0.05), 2.0, "top:2"),
        ((0, 0.01, 0.02, 0.05), 0.5, "head"),
    ],
)
def test_the_cheapest_of_the_best_is_chosen(gains, most_seconds, expected):
    assert choose_option(options(*gains), most_seconds).train == expected


def test_trials_are_for_trainings_that_are_longer():
    assert [count_trial_steps(n) for n in (1, 149, 150, 9999, None)] == [
        0,
        0,
        60,
        60,
        60,
    ]


def test_without_trials_experience_decides():
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    given = {
        "batches": [],
        "validation_data": [stripes(90, seed=1)],
        "steps": 0,
        "per_class": 20,
    }
    options, head = weigh_depths(model, **given, distance=0.9)
    assert [o.train for o in options] == ["head", "top:1", "top:2", "all"]
    assert all(o.trial is None and o.expected == o.prior for o in options)
    assert head.shape == (90,)
    # An untrained head makes many errors; the data is like nothing before.
    assert choose_option(options).train == "all"
    assert not needs_lower_rate(options[-1])
    options, _ = weigh_depths(model, **given, distance=0.5)
    assert choose_option(options).train == "head"


def test_lower_rates_are_for_what_did_harm():
    head, trained = options(0, 0, 0, 0.1)[::3]
    assert not needs_lower_rate(head)
    for gain in (-0.01, 0.01):
        tried = DepthOption("all", 4, trial=(gain, 0.1))
        assert needs_lower_rate(tried) is (gain < 0)
