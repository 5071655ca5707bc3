from keras_transfer.recipes.verdict import describe_verdict


def describe(*accuracies, examples=100, supports=None, **changes):
    supports = {"ant": 30, "bee": 70} if supports is None else supports
    settings = {"measured_on": "validation", "is_chosen": False, **changes}
    return describe_verdict(list(accuracies), examples, supports, **settings)


def test_an_accuracy_comes_with_its_interval_and_with_chance():
    # The interval is Wilson's, as in statsmodels' `proportion_confint`.
    assert describe(0.9).splitlines() == [
        "Verdict: 0.900 on 100 validation examples, so 0.826 to 0.945 on "
        "others like them (95 %).",
        'Always answering "bee" would give 0.700.',
    ]


def test_what_may_be_chance_is_called_so():
    assert "which may be as good" in describe(0.75)
    assert "which may be as good" not in describe(0.85)


def test_a_gain_is_called_luck_or_not():
    assert "+0.020, which luck may explain (±0.085)." in describe(0.89, 0.91)
    assert "+0.200: it helped." in describe(0.7, 0.9)
    harm = describe(0.9, 0.7)
    assert "-0.200: it did harm." in harm and '"extraction"' in harm
    # The same gain on more examples.
    assert "it helped" in describe(0.89, 0.91, examples=5000)


def test_only_what_is_known_is_said():
    assert describe(0.9, examples=0) == ""
    assert describe(float("nan")) == ""
    assert "Always" not in describe(0.9, supports={})
    assert "changed" not in describe(0.9)


def test_what_flatters_is_said():
    assert "flatters" in describe(0.9, is_chosen=True)
    assert "hold some back" in describe(0.9, measured_on="training")
