import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_transfer.optimizers.learning_rate_suggestions import (
    LearningRateCurve,
    minimum_over_10,
    steepest,
    valley,
)

RATES = np.geomspace(1e-7, 10, 161)  # 20 a decade, 1e-3 among them
SUGGESTIONS = (valley, steepest, minimum_over_10)


def test_steepest_of_a_curve_with_a_known_slope():
    losses = -np.tanh(np.log10(RATES) + 3)
    assert steepest(RATES, losses) == pytest.approx(1e-3)


def test_minimum_over_10_of_a_parabola():
    losses = (np.log10(RATES) + 2) ** 2
    assert minimum_over_10(RATES, losses) == pytest.approx(1e-3)


def test_valley_is_two_thirds_down_a_slope():
    # Level until 1e-5, down until 1e-2, then up.
    places = [-7, -5, -2, 1]
    losses = np.interp(np.log10(RATES), places, [3.0, 3.0, 1.0, 50.0])
    assert valley(RATES, losses) == pytest.approx(1e-3)


def test_valley_bridges_noise():
    places = [-7, -5, -2, 1]
    losses = np.interp(np.log10(RATES), places, [3.0, 3.0, 1.0, 50.0])
    noise = np.random.default_rng(0).normal(0, 0.05, len(losses))
    assert 3e-4 < valley(RATES, losses + noise) < 3e-3


def longest_valley(losses):
    """Try every choice of positions: return the best size and end."""
    best = None
    for size in range(2, len(losses) + 1):
        for places in itertools.combinations(range(len(losses)), size):
            values = [losses[place] for place in places]
            if all(a > b for a, b in itertools.pairwise(values)):
                found = size, -values[-1], -places[-1]
                best = found if best is None else max(best, found)
    return None if best is None else (best[0], -best[2])


def test_valley_against_brute_force():
    random = np.random.default_rng(0)
    for _ in range(300):
        size = random.integers(1, 9)
        rates = np.geomspace(1e-3, 1, size)
        losses = random.integers(0, 6, size)
        expected = longest_valley(losses.tolist())
        if expected is None:
            with pytest.raises(ValueError, match="never fell"):
                valley(rates, losses)
        else:
            length, end = expected
            start = end - (length - 1)
            assert (
                valley(rates, losses)
                == rates[start + (length - 1) - round((length - 1) / 3)]
            )


@pytest.mark.parametrize("suggest", SUGGESTIONS)
def test_what_follows_the_first_broken_loss_does_not_count(suggest):
    losses = (np.log10(RATES) + 2) ** 2
    expected = suggest(RATES, losses)
    broken = [np.nan, -100.0, np.inf, -200.0]
    rates = np.append(RATES, [11, 12, 13, 14])
    assert suggest(rates, np.append(losses, broken)) == expected


@pytest.mark.parametrize("suggest", SUGGESTIONS)
@pytest.mark.parametrize("losses", [[1.0], [1.0, 1.0], [1.0, 1.5, 3.0]])
def test_a_curve_that_never_falls_is_refused(suggest, losses):
    with pytest.raises(ValueError, match="never fell.*Received: "):
        suggest(RATES[: len(losses)], losses)


@pytest.mark.parametrize("suggest", SUGGESTIONS)
def test_two_steps_suffice(suggest):
    assert suggest([0.1, 1.0], [2.0, 1.0]) in (0.1, 1.0)


@pytest.mark.parametrize("suggest", SUGGESTIONS)
@pytest.mark.parametrize(
    ("rates", "losses"),
    [
        ([], []),
        ([1, 2], [1]),
        ([2, 1], [2, 1]),
        ([0, 1], [2, 1]),
        ([1, 2], [np.nan, 1]),
    ],
)
def test_what_is_no_curve_is_refused(suggest, rates, losses):
    with pytest.raises(ValueError, match="Received: "):
        suggest(rates, losses)


def curve(losses):
    return LearningRateCurve(RATES, losses + 0.1, losses)


def test_plot_marks_the_suggestions():
    drawn = curve((np.log10(RATES) + 2) ** 2)
    axes = drawn.plot().axes[0]
    assert axes.get_xscale() == "log"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert f"valley: {drawn.suggestion:.1e}" in texts
    assert "minimum over 10: 1.0e-03" in texts
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(
        [line.get_xdata()[0] for line in marks],
        [
            suggest(RATES, drawn.smoothed_losses)
            for suggest in (valley, steepest, minimum_over_10)
        ],
    )
    bottom, top = axes.get_ylim()
    assert bottom < 0 and 25 < top < 50


def test_a_curve_that_never_falls_is_drawn_without_marks(tmp_path):
    drawn = curve(1 + RATES)
    with pytest.raises(ValueError, match="never fell"):
        _ = drawn.suggestion
    figure = drawn.plot()
    assert len(figure.axes[0].lines) == 2
    figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_plot_draws_on_axes_that_it_is_given():
    figure = Figure()
    _, axes = figure.subplots(1, 2)
    backend = matplotlib.rcParams._get("backend")
    assert curve(-RATES).plot(axes) is figure
    assert len(axes.lines) >= 2 and not figure.axes[0].lines
    assert matplotlib.rcParams._get("backend") is backend
