from keras_transfer.board.generalisation_gap import find_gaps


def test_a_gap_is_above_0_where_training_looks_better():
    logs = {
        "loss": 0.5,
        "val_loss": 0.75,
        "accuracy": 1.0,
        "val_accuracy": 0.5,
        "mean_absolute_error": 2.0,
        "val_mean_absolute_error": 1.0,
        "learning_rate": 0.1,
    }
    assert find_gaps(logs) == {
        "loss": 0.25,
        "accuracy": 0.5,
        "mean_absolute_error": -1.0,
    }
