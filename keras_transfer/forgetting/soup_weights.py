"""The average of several fine-tuned models."""

from collections.abc import Sequence

import keras

from keras_transfer.forgetting.copy_model import copy_model
from keras_transfer.forgetting.interpolate_weights import (
    find_changed_statistics,
    warn_of_statistics,
)
from keras_transfer.forgetting.recompute_batch_norm import prepare_recomputing
from keras_transfer.forgetting.score_weights import make_score
from keras_transfer.forgetting.weight_soup import WeightSoup
from keras_transfer.forgetting.weight_values import (
    average_weights,
    find_one_model,
    read_weights,
)


def soup_weights(
    models: Sequence[keras.Model | list],
    validation_data,
    *,
    train_data=None,
) -> WeightSoup:
    """Average those of several models that are better together.

    They were fine-tuned from the same weights, at other rates or with other
    seeds. The best on validation data is taken first; each further one, from
    the best down, joins the average if its accuracy is no worse for it. That
    is the greedy soup of Wortsman et al. 2022, "Model soups",
    arXiv:2203.05482, recipe 1. It is as fast as one model, and on validation
    data no worse than the best.

    Example:

    ```python
    soup = kt.soup_weights([first, second, third], validation)
    print(soup)
    model = soup.model
    ```

    Args:
        models: Two or more Keras models of one structure, or lists of arrays
            as of `model.get_weights()` for all but one of them. They stay as
            they are.
        validation_data: A `tf.data.Dataset` or `keras.utils.PyDataset` of
            batches `(x, y)`, or such a tuple of arrays.
        train_data: Data for BatchNorm where it was not frozen, as for
            `recompute_batch_norm`, gone through once or more for each model.
            Defaults to `None`: statistics are averaged as well, with a
            warning if they differ.

    Returns:
        A `WeightSoup`, with `rows`, `chosen` and `model`.

    Raises:
        ValueError: If there are fewer than two models, none is more than a
            list, they differ in structure or are no classifiers, or the data
            has no examples.
    """
    models = list(models)
    if len(models) < 2:
        raise ValueError(
            f"`models` must hold two models or more. Received: models={models}"
        )
    model = find_one_model(models)
    values = read_weights(
        {f"models[{n}]": given for n, given in enumerate(models)}, model
    )
    model = copy_model(model)
    score = make_score(model)
    alone = []
    for arrays in values:
        model.set_weights(arrays)
        alone.append(score(validation_data)[0])
    ranked = sorted(range(len(values)), key=lambda n: -alone[n])
    chosen, best = ranked[:1], alone[ranked[0]]
    soup = values[ranked[0]]
    changed = find_changed_statistics(model, values)
    recompute = changed and prepare_recomputing(model, changed)
    if changed and train_data is None:
        warn_of_statistics(changed, stacklevel=3)
    tried = {ranked[0]: best}
    for number in ranked[1:]:
        members = [values[n] for n in (*chosen, number)]
        shares = [1 / len(members)] * len(members)
        model.set_weights(average_weights(members, shares, whole=0))
        if changed and train_data is not None:
            recompute(train_data)
        tried[number] = score(validation_data)[0]
        if tried[number] >= best:
            best, soup = tried[number], model.get_weights()
            chosen.append(number)
    model.set_weights(soup)
    rows = [
        {
            "model": number,
            "accuracy": alone[number],
            "together": tried[number],
            "joined": number in chosen,
        }
        for number in ranked
    ]
    return WeightSoup(rows, chosen, best, model)
