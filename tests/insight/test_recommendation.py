import pytest

import keras_transfer as kt
from keras_transfer.insight.recommendation import Evidence, Recommendation


def recommend(train="all", groups=8, seconds=60.0, possible=True, **evidence):
    rows = [
        {
            "train": "head",
            "groups": 0,
            "prior": (0.0, 0.0),
            "trial": None,
            "expected": (0.0, 0.0),
            "seconds": 0.0,
            "possible": True,
        },
        {
            "train": "top:4",
            "groups": 4,
            "prior": (0.02, 0.03),
            "trial": (0.01, 0.04),
            "expected": (0.016, 0.02),
            "seconds": 0.1,
            "possible": True,
        },
        {
            "train": "all",
            "groups": 8,
            "prior": (0.04, 0.05),
            "trial": (0.06, 0.05),
            "expected": (0.05, 0.04),
            "seconds": 0.4,
            "possible": possible,
        },
    ]
    known = {
        "examples": 200,
        "classes": 10,
        "most_frequent": 0.1,
        "head_accuracy": 0.6,
        "judged_on": 100,
        "distance": 0.7,
        "gradients": {"stem": 0.5, "b1": 0.1, "b2": 0.1, "head": 9.0},
        "steps": 60,
    }
    return Recommendation(
        train=train,
        groups=groups,
        groups_in_all=8,
        learning_rate=3e-4,
        strategy="lp_ft",
        phases=kt.strategies.lp_ft(train=train),
        seconds=seconds,
        rows=rows,
        evidence=Evidence(**{**known, **evidence}),
    )


def test_it_says_what_and_why():
    text = str(recommend())
    for part in (
        "train the head, then it and all 8 layer groups below it",
        "0.0003 (about 60 s)",
        "20 examples of each of 10 classes",
        "60% of 100 examples (50% to 69%)",
        "about 10%",
        "somewhat unlike",
        "70% as far",
        "stem, b1, b2",
        "+5.0 ± 4.0",
        "+6.0 ± 5.0",
    ):
        assert part in text, part
    table = text.splitlines()[-4:]
    assert [line.split()[0] for line in table] == [
        "train",
        "head",
        "top:4",
        "all",
    ]
    assert len({len(line) for line in table}) == 1


def test_the_head_alone_may_be_enough():
    text = str(recommend("head", 0))
    assert "train the head alone, and leave the 8 layer groups" in text


@pytest.mark.parametrize(
    ("possible", "reason"), [(True, "is not worth"), (False, "take too long")]
)
def test_it_says_why_not_the_best(possible, reason):
    text = str(recommend("top:4", 4, possible=possible))
    assert "the top 4 of the 8 layer groups" in text
    assert f'"all" {reason}' in text or f'"all" would {reason}' in text
    assert ("all (too slow)" in text) is not possible


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"examples": 50}, "so few that"),
        ({"examples": 5000}, "enough to train deep layers"),
        ({"distance": 0.5}, "little has to change"),
        ({"distance": 0.95}, "much has to change"),
    ],
)
def test_words_follow_the_evidence(evidence, expected):
    assert expected in str(recommend(**evidence))


def test_what_is_not_known_is_not_said():
    text = str(recommend(distance=None, gradients={"head": 1.0}))
    assert "noise" not in text and "pulls" not in text
