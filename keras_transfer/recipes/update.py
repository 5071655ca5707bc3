"""Teach a trained classifier more, without starting over."""

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras.src.utils import io_utils

from keras_transfer.builders.extend_classes import extend_classes
from keras_transfer.caching.answers import count_answers, make_predict
from keras_transfer.data.example_order import (
    find_example_order,
    spread_examples,
)
from keras_transfer.forgetting.choose_memory import choose_memory
from keras_transfer.forgetting.merge_memories import merge_memories
from keras_transfer.forgetting.rehearse import rehearse
from keras_transfer.freezing.phase import Phase
from keras_transfer.recipes.fine_tune import fine_tune
from keras_transfer.recipes.head_rate import choose_head_rate
from keras_transfer.recipes.match_labels import match_labels
from keras_transfer.recipes.order_examples import (
    join_examples,
    shuffle_examples,
)
from keras_transfer.recipes.training_data import choose_batch_size, count_steps
from keras_transfer.recipes.update_checks import check_update
from keras_transfer.recipes.update_result import UpdateResult
from keras_transfer.recipes.validation_score import accuracy_of

_PER_CLASS, _FEW = 20, 32
# With fewer, a handful of examples would hardly change anything.
_LEAST_STEPS = 75  # of the phase that trains everything


def update(
    model: keras.Model,
    new_data: tf.data.Dataset | tuple,
    validation_data: tf.data.Dataset | tuple | None = None,
    *,
    memory: tuple | None = None,
    old_validation: tf.data.Dataset | tuple | None = None,
    class_names: Sequence[str] | None = None,
    ratio: float = 0.5,
    per_class: int | None = None,
    strategy: str | list[Phase] | None = None,
    seed: int = 0,
    verbose: int | str = "auto",
    **options,
) -> UpdateResult:
    """Teach a trained classifier new examples or classes.

    Classes that it does not know are put beside the others
    (`extend_classes`), some old examples into each batch (`rehearse`), and
    the model is trained for a short time at low rates (`fine_tune`). Without
    old examples, what it learned before is overwritten. Four classes of clip
    art, and then ten others (mean of three seeds, per cent right):

    | memory              | old before | old after | new |
    | ------------------- | ---------- | --------- | --- |
    | none                | 75         | 2         | 61  |
    | 5 of each old class | 75         | 42        | 61  |
    | 20                  | 75         | 57        | 60  |
    | all (about 28)      | 75         | 68        | 58  |

    Example:

    ```python
    memory = kt.choose_memory(model, old_train, per_class=20)
    train, validation = kt.load_image_folder("more_photos")
    result = kt.update(
        model, train, validation, memory=memory, old_validation=old_validation
    )
    print(result)
    later = kt.update(result.model, yet_more, memory=result.memory)
    ```

    Args:
        model: A trained classifier, in which a class excludes others. It is
            trained on, and where there are new classes the `model` of the
            result goes on instead: what lies below the head is the same in
            both. Save it before, to keep it as it was.
        new_data: A `tf.data.Dataset` of batches `(x, y)` or
            `(x, y, sample_weight)`, or such a tuple of arrays; `y` are
            numbers of classes. Where it has `class_names`, as those of
            `load_image_folder` have, `y` counts these; they need not be all
            that the model knows, nor be in its order. For one new class
            alone, which is no folder of classes, pass arrays, `y` of 0 and
            `class_names=["owl"]`.
        validation_data: The same, for the accuracy on new data and the choice
            of the best weights. Optional.
        memory: Arrays `(x, y)` of old examples, as `choose_memory` returns
            them, or an update: `y` counts the classes of the model.
        old_validation: Data like `validation_data` of what the model was
            trained on before, for the accuracy on that; without
            `class_names` of its own, `y` counts the classes of the model.
            With `validation_data`, the weights are chosen that are best on
            both. Optional.
        class_names: The names that the labels of new and validation data
            count, where these have no `class_names`. Defaults to those of
            the model.
        ratio: Share of old examples in each batch, as for `rehearse`.
            Defaults to 0.5.
        per_class: How many examples of each class the next memory has at
            most. Defaults to what makes it no larger than `memory`, but 1 at
            least; or 20 where there was none.
        strategy: As for `fine_tune`. Defaults to everything for 5 epochs at
            3e-4; with new classes to the head for 10 at a fifth of the usual
            rate, and everything for 5 at 1e-4. Where epochs have few steps,
            there are more of them.
        seed: Seed of the order of the data, and as for `fine_tune`. Defaults
            to 0.
        verbose: As in `fit`; 0 is silent.
        **options: Further arguments of `fine_tune`.

    Returns:
        An `UpdateResult`: `.model`, `.history`, `.old_accuracy` and
        `.new_accuracy` before and after, `.memory` for the next update, and
        `.report`.

    Raises:
        ValueError: If an argument is not as described, or data and model do
            not fit together. Nothing is trained then.
    """
    check_update(model, memory, class_names, per_class)
    names = _find_names(new_data, class_names)
    grown = _grow(model, names)
    new = match_labels(new_data, "new_data", grown, names)
    if find_example_order(new_data) is None:
        size = choose_batch_size(len(new.example_order.numbers))
        new = shuffle_examples(new, size, seed)
    validation = old = None
    if validation_data is not None:
        names = _find_names(validation_data, class_names)
        validation = match_labels(
            validation_data, "validation_data", grown, names
        )
    if old_validation is not None:
        names = getattr(old_validation, "class_names", None)
        old = match_labels(old_validation, "old_validation", grown, names)
    train = new
    if memory is not None:
        x, y, *weight = memory
        memory = x, np.asarray(y, "int32").reshape(-1), *weight
        train = rehearse(new, memory, ratio, seed=seed)
    elif verbose:
        io_utils.print_msg(
            "Nothing keeps the model from forgetting what it knows. If there "
            "still is old data: "
            "`memory=kt.choose_memory(model, old_data, per_class=20)`."
        )
    judge = validation
    if judge is not None and old is not None:
        judge = join_examples(validation, old)
    if strategy is None:
        strategy = _choose_phases(grown, train, grown is not model)

    predict = make_predict(grown)

    def measure():
        return [
            accuracy_of(part and count_answers(grown, part, predict))
            for part in (old, validation)
        ]

    before = measure()
    trained = fine_tune(
        grown,
        train,
        judge,
        strategy=strategy,
        seed=seed,
        verbose=verbose,
        **options,
    )
    old_accuracy, new_accuracy = zip(before, measure(), strict=True)
    return UpdateResult(
        grown,
        trained.history,
        old_accuracy,
        new_accuracy,
        _renew(grown, new, memory, per_class),
        trained.report,
    )


def _find_names(data, class_names) -> Sequence[str] | None:
    names = getattr(data, "class_names", None)
    return class_names if names is None else names


def _grow(model, names) -> keras.Model:
    """Return a model that knows all of these classes."""
    if names is None:
        return model
    known = getattr(model, "class_names", None)
    if known is None:
        raise ValueError(
            "The data names its classes and the model does not. Say which are "
            "its own, in the order of its outputs: `model.class_names = "
            f"[...]`. Received: model={model.name}, and data with the classes "
            f"{list(names)}"
        )
    added = [name for name in names if name not in known]
    return extend_classes(model, added) if added else model


def _choose_phases(model, train, has_new_classes: bool) -> list[Phase]:
    epochs = max(5, math.ceil(_LEAST_STEPS / count_steps(train)))
    if not has_new_classes:
        return [Phase("all", epochs, 3e-4, schedule="warmup_cosine")]
    rate = choose_head_rate(model, batches=list(spread_examples(train, _FEW)))
    return [
        Phase("head", 2 * epochs, rate / 5),
        Phase("all", epochs, 1e-4, schedule="warmup_cosine"),
    ]


def _renew(model, new, memory, per_class) -> tuple:
    """Choose the memory for the next update."""
    if memory is None:
        return choose_memory(model, new, per_class=per_class or _PER_CLASS)
    labels = memory[1]
    most = per_class or len(labels) // len(np.unique(labels))
    fresh = choose_memory(model, new, per_class=most)
    if per_class is None:
        classes = np.union1d(labels, fresh[1])
        most = max(1, len(labels) // len(classes))
    return merge_memories(memory, fresh, most)
