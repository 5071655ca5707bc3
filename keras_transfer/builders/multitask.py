"""Build a model for several tasks on one backbone."""

from collections.abc import Mapping

import keras

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.builders.body import build_body
from keras_transfer.builders.heads import add_output_layer, enter_head
from keras_transfer.builders.multitask_model import BALANCE, MultitaskModel
from keras_transfer.builders.task import Task, read_tasks
from keras_transfer.builders.task_balance import TaskBalance
from keras_transfer.builders.task_objectives import read_weights
from keras_transfer.freezing.trainable import set_trainable

# A step of Adam at the usual rate of a head moves logits by several units,
# which does no harm to a softmax. For a number of the size of 1 that is too
# much: without a scale, a head on EfficientNet-Lite0 was worse than the mean,
# and one trained with SGD diverged.
_REGRESSION_SCALE = 0.1


def build_multitask(
    backbone: Backbone,
    tasks: Mapping,
    *,
    balance: str | Mapping[str, float] | None = None,
    head: keras.layers.Layer | list | None = None,
    dropout: float = 0.2,
    augmentation: keras.layers.Layer | list | None = None,
    pooling: str | None = "avg",
) -> MultitaskModel:
    """Build a model that tells several things of an image, on one backbone.

    As `build_classifier`, with an output layer for each task. The backbone
    runs once for all of them, and starts frozen. `kt.layer_groups` has all
    heads in one group, `head`.

    `model.compile("adam")` gives each task its loss and its metric:
    crossentropy and accuracy, and for a regression squared errors and
    `mean_absolute_error`.

    Labels are dictionaries `{task: labels}`, and some may be missing: a
    number below 0 for a class, for yes or no and for each label of a
    multi-label task; NaN anywhere, and nothing else for a regression. Such a
    label counts nothing. The loss of a task is the mean over the labels that
    a batch has of it (with sample weights, the weighted sum over their
    number), and 0 where it has none; as ever in Keras, that of an epoch is
    the mean over its batches. Its metric is that of all labels of an epoch.

    Example:

    ```python
    backbone = kt.load_backbone("MobileNetV2")
    model = kt.build_multitask(
        backbone,
        {
            "species": ["cat", "dog", "fox"],
            "indoor": "binary",
            "age": "regression",
        },
        balance="uncertainty",
    )
    model.compile("adam")
    labels = {
        "species": np.array([0, -1, 2]),
        "indoor": np.array([1.0, 0.0, np.nan]),
        "age": np.array([0.3, np.nan, np.nan]),
    }
    model.fit(images, labels, epochs=5)
    ```

    Args:
        backbone: From `load_backbone`. Its weights are shared with the model,
            not copied.
        tasks: By the name of each task: a number of classes or a list of
            their names (softmax; labels are numbers of classes), `"binary"`
            (a sigmoid; labels 0 or 1), `"regression"` (one linear value), or
            `("multi_label", names)` (a sigmoid each; labels
            `(batch, len(names))` of 0 and 1). Labels of a regression must be
            of the size of 1, such as `(age - 40) / 20`: at the rates that
            suit a head, those of 40 are not reached in time.
        balance: How the losses L_k of the tasks add up. `None`: as they are.
            `{task: weight}`: each times its weight, 1 where there is none.
            `"uncertainty"`: with learned weights (Kendall, Gal & Cipolla
            2018, arXiv:1705.07115), the sum of c_k exp(-s_k) L_k + s_k / 2
            over the tasks that have any label in the batch, where
            c_k is 1/2 for a regression and 1 for all others, and the log
            variances s_k start at 0 and train with the head, of which they
            are a part. A sum so weighted may be negative. What the weights
            have become, `model.task_weights()` says. Defaults to `None`.
        head: A layer, or list of layers, between the pooled features and all
            output layers, in place of dropout.
        dropout: Share of the features to drop in training, in [0, 1).
            Defaults to 0.2.
        augmentation: A layer, or list of layers, applied to raw images in
            training and nowhere else. Optional.
        pooling: As for `build_classifier`. Defaults to `"avg"`.

    Returns:
        An uncompiled functional `keras.Model` from
        `(batch, height, width, 3)` of any numeric dtype, in [0, 255], to
        `{task: outputs}`, float32 `(batch, units)`. Its `class_names` are
        lists by task, and `task_weights()` what losses are multiplied by.

    Raises:
        ValueError: If an argument is not as described.
    """
    tasks = read_tasks(tasks)
    learns = isinstance(balance, str) and balance == "uncertainty"
    if isinstance(balance, str) and not learns:
        raise ValueError(
            '`balance` must be "uncertainty", a dictionary of weights or None. '
            f"Received: balance={balance!r}"
        )
    weights = None if learns else read_weights("balance", balance, tasks)
    inputs, features = build_body(backbone, augmentation)
    x = enter_head(features, head=head, dropout=dropout, pooling=pooling)
    if learns:
        # Equation 10 of the paper: half the squared error, the whole of a
        # crossentropy.
        factors = [0.5 if t.kind == "regression" else 1.0 for t in tasks]
        x = TaskBalance(factors, name=BALANCE)(x)
    model = MultitaskModel(
        inputs,
        {task.name: _add_head(x, task) for task in tasks},
        tasks=tasks,
        weights=weights,
        name=f"{backbone.name}_multitask",
    )
    set_trainable(model, "head")
    return model


def _add_head(x, task: Task) -> keras.KerasTensor:
    if task.kind == "regression":
        y = add_output_layer(x, 1, "linear", name=f"{task.name}_raw")
        return keras.layers.Rescaling(
            _REGRESSION_SCALE, name=task.name, dtype="float32"
        )(y)
    activation = "softmax" if task.kind == "classes" else "sigmoid"
    return add_output_layer(x, task.units, activation, name=task.name)
