import keras
import numpy as np

from keras_transfer.freezing.weight_movement import WeightMovement


def make_groups():
    a = keras.Variable([3.0, 0.0])
    b = keras.Variable([[0.0], [4.0]])
    c = keras.Variable([0.0])
    moving = keras.Variable([1.0], name="moving_mean")
    return {"stem": (a, b, moving), "head": (c,), "empty": ()}


def test_shares_of_the_norm_of_all_weights_of_a_group():
    groups = make_groups()
    movement = WeightMovement(groups)
    a, b, moving = groups["stem"]
    a.assign([3.0, 3.0])
    b.assign([[4.0], [4.0]])
    moving.assign([9.0])
    assert movement.measure({"stem"})["stem"] == (1, 1)  # 5 of 5
    a.assign([3.0, 0.0])
    drift, update = movement.measure({"stem"})["stem"]
    np.testing.assert_allclose([drift, update], [4 / 5, 3 / np.sqrt(50)])


def test_zeros_go_infinitely_far_or_not_at_all():
    groups = make_groups()
    movement = WeightMovement(groups)
    assert movement.measure({"head"}) == {"stem": (0, 0), "head": (0, 0)}
    groups["head"][0].assign([1.0])
    assert movement.measure({"head"})["head"] == (np.inf, np.inf)


def test_frozen_groups_are_looked_at_once_more_and_keep_their_drift():
    groups = make_groups()
    movement = WeightMovement(groups)
    movement.measure({"stem"})
    # As the best weights are put back when a phase has ended.
    groups["stem"][0].assign([8.0, 0.0])
    assert movement.measure({"head"})["stem"] == (1, 1)
    assert movement.measure({"head"})["stem"] == (1, 0)


def test_a_training_that_goes_on_has_its_drift_and_no_update():
    groups = make_groups()
    movement = WeightMovement(groups)
    groups["stem"][0].assign([8.0, 0.0])
    movement.begin()
    assert movement.measure(set())["stem"] == (1, 0)


def test_drift_goes_on_where_weights_are_added_and_taken_away():
    groups = make_groups()
    before = WeightMovement(groups)
    groups["stem"][0].assign([8.0, 0.0])
    added = keras.Variable([1.0])
    stem = (groups["stem"][0], added)
    movement = WeightMovement({**groups, "stem": stem}, before)
    drift, update = movement.measure(set())["stem"]
    np.testing.assert_allclose([drift, update], [5 / np.sqrt(10), 0])
    added.assign([13.0])
    drift, update = movement.measure({"stem"})["stem"]
    np.testing.assert_allclose(
        [drift, update], [13 / np.sqrt(10), 12 / np.sqrt(65)]
    )
