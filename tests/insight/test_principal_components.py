import numpy as np
import pytest

from keras_transfer.insight.principal_components import find_components


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (12, 12), (5, 1)])
def test_are_those_of_the_singular_value_decomposition(shape):
    x = np.random.default_rng(0).normal(size=shape) + 2
    values, scores = find_components(x)
    left, sizes, right = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(values[::-1], sizes**2)
    expected = np.abs(left * sizes)
    np.testing.assert_allclose(np.abs(scores[:, ::-1]), expected, atol=1e-9)
    axes = x.T @ scores / values
    np.testing.assert_allclose(scores @ axes.T, x, atol=1e-9)
    np.testing.assert_allclose(
        np.abs(axes[:, ::-1]), np.abs(right.T), atol=1e-9
    )


@pytest.mark.parametrize("shape", [(30, 6), (8, 30)])
def test_leaves_out_directions_without_variance(shape):
    x = np.random.default_rng(0).normal(size=(shape[0], 3))
    x = x @ np.random.default_rng(1).normal(size=(3, shape[1]))
    values, scores = find_components(x)
    assert len(values) == scores.shape[1] == 3
    assert (values > 0).all()


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 0)])
def test_nothing_has_no_components(shape):
    values, scores = find_components(np.zeros(shape))
    assert values.shape == (0,)
    assert scores.shape == (shape[0], 0)
