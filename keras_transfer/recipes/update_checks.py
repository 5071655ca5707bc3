"""What `update` is not for."""

import numbers

import keras
import numpy as np

from keras_transfer.builders.heads import count_classes
from keras_transfer.builders.output_layer import find_output_layer


def check_update(model: keras.Model, memory, class_names, per_class) -> None:
    """Refuse what `update` cannot do, before anything is done.

    Args:
        model: As for `update`, like the rest.
        memory: Old examples, or `None`.
        class_names: Names of classes, or `None`.
        per_class: A number of examples, or `None`.

    Raises:
        ValueError: If one of them is not as `update` describes it.
    """
    shape = getattr(model, "output_shape", None)
    output = find_output_layer(model)
    is_multi_label = output and output.activation == "sigmoid" and shape[-1] > 1
    if not isinstance(shape, tuple) or is_multi_label:
        raise ValueError(
            "`update` is for functional and sequential classifiers with one "
            "output, whose classes exclude each other: old examples do not "
            "say which of several new labels they have. For others there are "
            "`kt.extend_classes` and `kt.fine_tune`. "
            f"Received: model={model!r}"
        )
    is_list = isinstance(class_names, list | tuple)
    if class_names is not None and not (is_list and count_classes(class_names)):
        raise ValueError(
            "`class_names` must be a list of names. "
            f"Received: class_names={class_names!r}"
        )
    is_count = isinstance(per_class, numbers.Integral) and per_class > 0
    if per_class is not None and not is_count:
        raise ValueError(
            "`per_class` must be an integer of 1 or more. "
            f"Received: per_class={per_class!r}"
        )
    if memory is None:
        return
    if not (isinstance(memory, tuple) and len(memory) in (2, 3)):
        raise ValueError(
            "`memory` must be a tuple of arrays (x, y), as "
            f"`kt.choose_memory` returns it. Received: memory={memory!r}"
        )
    labels, classes = np.asarray(memory[1]), max(shape[-1], 2)
    if labels.size != len(labels) or not np.isin(labels, range(classes)).all():
        raise ValueError(
            "Labels of `memory` must be numbers of classes of the model, from "
            f"0 to {classes - 1}. Received: labels of shape {labels.shape}, "
            f"{np.unique(labels)}"
        )
