"""Guesses of the source's own head."""

import numpy as np
import pytest

from keras_transfer.insight.zero_shot import judge_zero_shot, map_classes

SOURCE = ["tabby", "tiger_cat", "Egyptian cat", "beagle"]


def test_equal_names_map_whatever_the_case():
    found = map_classes(["egyptian-cat", "house", "Beagle"], SOURCE, 4)
    assert found == {0: [2], 2: [3]}


def test_a_map_of_names_and_numbers():
    meaning = {"cat": ["tabby", "tiger cat", 2], "dog": "beagle"}
    assert map_classes(["cat", "dog"], SOURCE, 4, meaning) == {
        0: [0, 1, 2],
        1: [3],
    }


@pytest.mark.parametrize("wrong", [{"cow": 1}, {"cat": 4}, {"cat": "lion"}])
def test_what_does_not_exist(wrong):
    with pytest.raises(ValueError, match="Received: "):
        map_classes(["cat", "dog"], SOURCE, 4, wrong)


def test_probabilities_of_one_meaning_are_summed():
    said = np.array([[0.2, 0.2, 0.2, 0.4], [0.1, 0.1, 0.1, 0.7]])
    mapped = {0: [0, 1, 2], 4: [3]}
    found = judge_zero_shot(said, np.array([0, 0]), mapped)
    assert found.tolist() == [1, 0]
    found = judge_zero_shot(said, np.array([3, 4]), mapped)
    assert np.isnan(found[0]) and found[1] == 1
    assert judge_zero_shot(said, np.array([0, 0]), {0: [1]}) is None
