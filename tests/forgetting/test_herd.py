import numpy as np
import pytest

from keras_transfer.forgetting.herd import herd


def brute_force(features, count):
    """Try every example at each step."""
    unit = [f / np.sqrt(np.sum(f * f)) for f in features]
    mean = sum(unit) / len(unit)
    chosen = []
    for _ in range(count):
        distances = {}
        for n in range(len(unit)):
            if n not in chosen:
                some = [unit[m] for m in (*chosen, n)]
                gap = mean - sum(some) / len(some)
                distances[n] = float(np.sqrt(np.sum(gap * gap)))
        chosen.append(min(distances, key=distances.get))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_it_is_greedy_herding(seed):
    random = np.random.default_rng(seed)
    features = random.normal(size=(12, 4)) * random.uniform(1, 9, (12, 1))
    for count in (1, 5, 12):
        found = herd(features, count)
        assert found.tolist() == brute_force(features, count)


def test_there_may_be_fewer_and_zeros():
    features = np.array([[1.0, 0], [0, 0], [0, 2]])
    assert sorted(herd(features, 9)) == [0, 1, 2]
    assert herd(features, 0).tolist() == []
    assert herd(features[:0], 3).tolist() == []


def test_a_matrix_is_needed():
    with pytest.raises(ValueError, match=r"features of shape \(4,\)"):
        herd(np.ones(4), 2)
    with pytest.raises(ValueError, match="finite"):
        herd(np.full((2, 2), np.nan), 2)
