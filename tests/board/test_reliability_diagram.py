"""Calibration: against a loop over bins, and that the picture shows it."""

import math

import numpy as np
import pytest

from keras_transfer.board.reliability_diagram import (
    calibration_bins,
    draw_reliability_diagram,
    expected_calibration_error,
)


def example(examples=500, seed=0):
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.2, 1, examples)
    return sure, rng.random(examples) < sure**2


def error_by_hand(confidences, is_right, bins):
    error = 0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [
            (sure, right)
            for sure, right in zip(confidences, is_right, strict=True)
            if low < sure <= high or (number == 0 and sure == 0)
        ]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            mean = sum(sure for sure, _ in inside) / len(inside)
            share = len(inside) / len(confidences)
            error += share * abs(accuracy - mean)
    return error


def count_pixels(picture, color):
    return int(np.all(picture == color, axis=-1).sum())


def too_sure(picture):
    return count_pixels(picture, (0xD5, 0x5E, 0x00))


def not_sure_enough(picture):
    return count_pixels(picture, (0x56, 0xB4, 0xE9))


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 40])
@pytest.mark.parametrize("examples", [1, 7, 500])
def test_error_is_that_of_a_loop_over_the_bins(bins, examples):
    confidences, is_right = example(examples)
    error = expected_calibration_error(confidences, is_right, bins)
    assert error == pytest.approx(error_by_hand(confidences, is_right, bins))


def test_bins_are_means_of_their_examples():
    bins = calibration_bins([0.1, 0.6, 0.8, 0.9], [0, 1, 0, 1], bins=2)
    assert bins.counts.tolist() == [1, 3]
    np.testing.assert_allclose(bins.confidences, [0.1, 2.3 / 3])
    np.testing.assert_allclose(bins.accuracies, [0, 2 / 3])


def test_an_edge_belongs_to_the_lower_bin():
    bins = calibration_bins([0, 0.25, 0.5, 0.75, 1], [1] * 5, bins=4)
    assert bins.counts.tolist() == [2, 1, 1, 1]


def test_an_empty_bin_has_no_mean():
    bins = calibration_bins([0.9], [True], bins=2)
    assert np.isnan(bins.confidences[0]) and np.isnan(bins.accuracies[0])


def test_a_model_that_is_as_good_as_it_says_has_no_error():
    confidences = np.repeat([0.5, 0.75], 4)
    is_right = [1, 1, 0, 0, 1, 1, 1, 0]
    assert expected_calibration_error(confidences, is_right) == 0


def test_no_examples_have_no_error():
    assert math.isnan(expected_calibration_error([], []))
    assert draw_reliability_diagram([], []).shape[2] == 3


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"in \[0, 1\].*Received: conf"):
        calibration_bins([0.5, wrong], [1, 0])


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\).*\(1,\)"):
        calibration_bins([0.5, 0.6], [1])


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="Received: bins=0"):
        calibration_bins([0.5], [1], bins=0)


def test_the_gap_is_shaded_by_its_sign():
    # The legend has a little of each.
    legend = draw_reliability_diagram([], [])
    wrong = draw_reliability_diagram([0.9] * 4, [0] * 4)
    right = draw_reliability_diagram([0.5] * 4, [1] * 4)
    assert too_sure(wrong) > too_sure(legend) + 5000
    assert not_sure_enough(wrong) == not_sure_enough(legend)
    assert not_sure_enough(right) > not_sure_enough(legend) + 3000
    assert too_sure(right) == too_sure(legend)


def test_the_gap_is_as_large_as_the_error():
    legend = too_sure(draw_reliability_diagram([], []))
    small = too_sure(draw_reliability_diagram([0.9] * 10, [1] * 6 + [0] * 4))
    large = too_sure(draw_reliability_diagram([0.9] * 10, [1] * 3 + [0] * 7))
    assert (large - legend) / (small - legend) == pytest.approx(2, rel=0.1)


def test_a_single_example_of_many_is_seen_in_the_histogram():
    histogram = np.s_[640:800]
    many = draw_reliability_diagram([0.99] * 10_000, [1] * 10_000)
    one_more = draw_reliability_diagram([0.99] * 10_000 + [0.3], [1] * 10_001)
    gray = (0x66, 0x66, 0x66)
    difference = count_pixels(one_more[histogram], gray) - count_pixels(
        many[histogram], gray
    )
    assert difference > 30
