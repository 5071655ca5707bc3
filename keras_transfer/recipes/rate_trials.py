"""Find the learning rate of a phase by trying a few."""

from collections.abc import Sequence

import keras

from keras_transfer.caching.answers import make_predict
from keras_transfer.optimizers.trial import trial
from keras_transfer.recipes.validation_score import Score, score_answers

USUAL_RATE = 3e-4
RATES = (3e-5, 1e-4, USUAL_RATE)
_EXAMPLES = 512


def collect_batches(data, examples: int = _EXAMPLES) -> list:
    """Take the first batches of a data set.

    Args:
        data: A `tf.data.Dataset`, `keras.utils.PyDataset` or list of batches.
        examples: When to stop.

    Returns:
        A list of batches as they come, of at least one.
    """
    batches, count = [], 0
    if isinstance(data, keras.utils.PyDataset):
        data = map(data.__getitem__, range(data.num_batches))
    for batch in data:
        batches.append(batch)
        count += len(keras.tree.flatten(batch)[0])
        if count >= examples:
            break
    return batches


def choose_learning_rate(
    model: keras.Model,
    *,
    batches: Sequence,
    validation_data,
    steps: int,
) -> float:
    """Train a little at each of a few rates, and see what comes of it.

    The usual rate stays where no other does better by more than luck would
    have it.

    Args:
        model: A compiled model in the state from which to train; it is left
            so.
        batches: Batches of training data, the same for each trial.
        validation_data: Data on which trials are compared.
        steps: Length of a trial.

    Returns:
        The rate to train with.

    Raises:
        ValueError: If the model is no classifier.
    """
    scores = {}
    with trial(model) as attempt:
        predict = make_predict(model)
        for rate in RATES:
            attempt.start_anew()
            attempt.train(batches, steps, rate)
            scores[rate] = score_answers(model, validation_data, predict)
            if scores[rate] is None:
                raise ValueError(
                    "Trials are compared by the answers of a classifier; pass "
                    "a `learning_rate` for another kind of model. "
                    f"Received: model={model.name}"
                )
    return choose_rate(scores)


def choose_rate(scores: dict[float, Score]) -> float:
    """Choose the best rate if it is clearly best, or else the usual one.

    Args:
        scores: What came of each rate, the usual one among them.

    Returns:
        A rate. "Clearly" means by more than one standard error.
    """
    best, usual = max(scores, key=scores.get), scores[USUAL_RATE]
    gain = scores[best].accuracy - usual.accuracy
    return best if gain > usual.standard_error else USUAL_RATE
