import numpy as np
import pytest

from keras_transfer.board.wilson_interval import wilson_interval


@pytest.mark.parametrize("share", [0, 0.03, 0.5, 0.7, 1])
@pytest.mark.parametrize("examples", [1, 10, 1000])
def test_its_ends_are_where_the_score_test_turns(share, examples):
    # By definition: the shares p with |share - p| = z sqrt(p (1 - p) / n).
    for end in wilson_interval(share, examples):
        error = 1.959964 * np.sqrt(end * (1 - end) / examples)
        assert abs(share - end) == pytest.approx(error, abs=1e-7)


def test_it_stays_in_range():
    assert wilson_interval(0, 5)[0] == 0 and wilson_interval(1, 5)[1] == 1
