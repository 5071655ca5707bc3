import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut

from keras_transfer.insight.ridge_probe import fit_ridge_probe


def make_data(examples, features, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(examples) % classes
    centers = rng.normal(size=(classes, features))
    x = centers[y] + 2 * rng.normal(size=(examples, features))
    return x * rng.uniform(0.1, 9, features) + rng.normal(size=features), y


def leave_one_out(x, y, penalty):
    """Fit anew without each example, as it should be and takes long."""
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    targets = np.eye(y.max() + 1)[y]
    outputs = np.empty_like(targets)
    for rest, left in LeaveOneOut().split(scaled):
        ridge = Ridge(alpha=penalty, solver="svd").fit(
            scaled[rest], targets[rest]
        )
        outputs[left] = ridge.predict(scaled[left])
    return outputs


@pytest.mark.parametrize("examples, features", [(40, 7), (21, 60), (30, 30)])
def test_outputs_of_the_left_out_are_those_of_a_fit_without(examples, features):
    x, y = make_data(examples, features)
    probe = fit_ridge_probe(x, y)
    expected = leave_one_out(x, y, probe.penalty)
    np.testing.assert_allclose(probe.left_out, expected, atol=1e-9)
    assert probe.accuracy == (expected.argmax(axis=1) == y).mean()


@pytest.mark.parametrize("examples, features", [(40, 7), (21, 60)])
def test_predicts_as_ridge_does(examples, features):
    x, y = make_data(examples, features)
    probe = fit_ridge_probe(x, y)
    center, spread = x.mean(axis=0), x.std(axis=0)
    ridge = Ridge(alpha=probe.penalty, solver="svd")
    ridge.fit((x - center) / spread, np.eye(3)[y])
    others = make_data(9, features, seed=1)[0]
    expected = ridge.predict((others - center) / spread)
    np.testing.assert_allclose(probe.predict(others), expected, atol=1e-9)
    np.testing.assert_allclose(probe.predict(others).sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_penalty_is_better(seed):
    x, y = make_data(24, 15, seed=seed)
    probe = fit_ridge_probe(x, y)
    targets = np.eye(3)[y]

    def judge(outputs):
        accuracy = (outputs.argmax(axis=1) == y).mean()
        return accuracy, -((outputs - targets) ** 2).sum()

    # Steps as wide as its own.
    others = probe.penalty * np.logspace(-2, 2, 9)
    best = max(judge(leave_one_out(x, y, penalty)) for penalty in others)
    np.testing.assert_allclose(judge(probe.left_out), best, rtol=1e-9)


def test_noise_is_at_chance_and_signal_is_not():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 4
    noise = fit_ridge_probe(rng.normal(size=(200, 500)), y).accuracy
    assert noise < 0.4
    signal = np.eye(4)[y] + 0.1 * rng.normal(size=(200, 4))
    assert fit_ridge_probe(signal, y).accuracy == 1


def test_constant_features_have_no_effect():
    x, y = make_data(30, 5)
    more = np.hstack([x, np.full((30, 1), 0.1), np.zeros((30, 2))])
    probe, plain = fit_ridge_probe(more, y), fit_ridge_probe(x, y)
    np.testing.assert_allclose(probe.left_out, plain.left_out, atol=1e-12)
    assert not probe.kernel[5:].any()


def test_features_of_any_scale_and_offset_are_the_same():
    x, y = make_data(30, 5)
    plain = fit_ridge_probe(x, y).left_out
    moved = fit_ridge_probe(x * [1e-8, 1e8, 1, -3, 1e20] + 4e4, y).left_out
    assert np.isfinite(moved).all()
    np.testing.assert_allclose(
        fit_ridge_probe(x * [1e-8, 1e8, 1, -3, 1e20], y).left_out,
        plain,
        atol=1e-9,
    )


def test_nothing_but_constants_gives_shares_of_the_others():
    y = np.array([0, 0, 1, 0])
    probe = fit_ridge_probe(np.ones((4, 3)), y)
    np.testing.assert_allclose(
        probe.left_out, [[2 / 3, 1 / 3], [2 / 3, 1 / 3], [1, 0], [2 / 3, 1 / 3]]
    )
    np.testing.assert_allclose(probe.predict(np.ones((1, 3))), [[0.75, 0.25]])


def test_a_class_of_one_example_and_classes_without():
    x, y = make_data(20, 4, classes=2)
    y[7] = 2
    probe = fit_ridge_probe(x, y, classes=5)
    assert probe.left_out.shape == (20, 5)
    # Without the only example of its class, nothing speaks for the class.
    np.testing.assert_allclose(probe.left_out[7, 2:], 0, atol=1e-12)
    assert not probe.kernel[:, 3:].any()


def test_one_class_alone():
    x, _ = make_data(6, 4)
    assert fit_ridge_probe(x, np.zeros(6, int)).accuracy == 1


def test_float32_is_as_good():
    x, y = make_data(30, 50)
    x = x.astype("float32")
    probe = fit_ridge_probe(x, y)
    assert probe.kernel.dtype == probe.left_out.dtype == "float64"
    np.testing.assert_allclose(
        probe.left_out, leave_one_out(x.astype("float64"), y, probe.penalty)
    )


@pytest.mark.parametrize(
    "x, y, message",
    [
        (np.zeros((1, 3)), [0], "two examples"),
        (np.zeros((0, 3)), [], "two examples"),
        (np.zeros(3), [0, 1, 0], "two examples"),
        (np.zeros((3, 2)), [0, 1], r"y of shape \(2,\)"),
        ([[0, np.nan], [1, 1]], [0, 1], "1 of 4 values"),
        ([[0, np.inf], [1, 1]], [0, 1], "1 of 4 values"),
        (np.zeros((2, 2)), [0, -1], "between -1 and 0"),
        (np.zeros((2, 2)), [0, 0.5], "numbers of classes"),
    ],
)
def test_refuses_what_it_cannot_use(x, y, message):
    with pytest.raises(ValueError, match=message):
        fit_ridge_probe(x, y)


def test_refuses_too_few_classes():
    with pytest.raises(ValueError, match="must be 3 or more.*classes=2"):
        fit_ridge_probe(np.eye(3), [0, 1, 2], classes=2)
