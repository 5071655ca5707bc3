"""Learn new classes from new data alone, and keep the answers for the old."""

import math

import keras
import numpy as np

from keras_transfer.backbones.graph import functional_graph, ordered_nodes
from keras_transfer.backbones.own_model import head_input
from keras_transfer.builders.output_layer import find_output_layer
from keras_transfer.data.random_state import (
    capture_random_state,
    restore_random_state,
)
from keras_transfer.forgetting.augmented_input import (
    copy_after_augmentation,
    find_augmented_input,
)
from keras_transfer.forgetting.distillation import Distillation
from keras_transfer.forgetting.distilled_classifier import DistilledClassifier
from keras_transfer.forgetting.likelihood import Likelihood, find_likelihood
from keras_transfer.forgetting.teacher import Teacher


def learn_without_forgetting(
    new: keras.Model,
    old: keras.Model,
    *,
    strength: float = 1.0,
    temperature: float = 2.0,
) -> keras.Model:
    """Let a classifier keep the answers of an old one, without old data.

    The old network, as it is now, is copied and frozen: the teacher. What it
    answers on the new examples is what the old classes are trained on while
    the new ones learn their labels. Li & Hoiem 2016, "Learning without
    Forgetting", arXiv:1606.09282.

    `new` is one of two kinds:

    - `kt.replace_head(old, names)`: a new head beside the old one. Both work
      on the backbone that they share. Train `model`; afterwards `new` answers
      for the new classes, and `old` for the old ones.
    - `kt.extend_classes(old, names)`: one head for all, whose first classes
      are those of `old`, by their names. `new` answers for all. Old classes
      are held to their shares among each other: that there are new ones as
      well, new examples alone tell.

    The old head belongs to the layer group `"head"`, and trains when that
    does. While the backbone is frozen nothing pulls at it; so the first phase
    of `kt.fine_tune` is the paper's warm-up, and the next its joint training.
    In training, the old head runs without dropout.

    The `loss` of training has the penalty in it, `val_loss` has not. The
    teacher sees what augmentation inside the model makes of an example, and
    takes a forward pass of the old network for each step. Where `kt.fine_tune`
    caches the frozen part, its answers are cached, too, and it runs once for
    each example.

    The result is a `Classifier` with the weights, the layer groups and the
    answers of `new`, and a file of it is one of `new`: what is loaded has no
    teacher and no old head. To go on with an old task from a file, save `old`
    as well.

    Example:

    ```python
    old = keras.models.load_model("animals.keras")
    new = kt.replace_head(old, bird_names)
    model = kt.learn_without_forgetting(new, old)
    kt.fine_tune(model, bird_train, bird_validation)
    new.save("birds.keras")
    old.save("animals.keras")
    ```

    Args:
        new: A classifier, as above. What trains in it stays as it is.
        old: A trained functional or sequential classifier with one input and
            one output `(batch, classes)`, softmax or sigmoids; or logits, if
            it is compiled with a crossentropy that says so.
        strength: Factor of the penalty, at least 0. More of it forgets less,
            and may learn less. The penalty has the square of the temperature
            in it, and the paper's has not: its λₒ is `strength *
            temperature**2`, and its choice of 1 is 0.25 here. Defaults to 1.
        temperature: By what logits are divided before they are compared,
            above 0. The higher, the more the small probabilities count.
            Defaults to 2.

    Returns:
        A functional `keras.Model` to train in place of `new`. It is not
        compiled.

    Raises:
        ValueError: If an argument is not as described, or the two models do
            not share what they must.
    """
    _check_number("strength", strength, least=0.0)
    _check_number("temperature", temperature)
    for name, model in {"new": new, "old": old}.items():
        _check_classifier(name, model)
    likelihood = find_likelihood(old)
    classes = old.output_shape[-1]
    if classes == 1:
        likelihood = Likelihood(False, likelihood.from_logits)
    answering = new if _extends(new, old) else old
    student = _find_kind(answering, likelihood)
    features = _find_features(new, answering)
    head = keras.Model(
        features, functional_graph(answering).outputs[0], name="old_head"
    )
    # New layers draw seeds: the training would begin with other ones.
    state = capture_random_state()
    entry = find_augmented_input(new)
    network = copy_after_augmentation(old, entry)
    restore_random_state(state)
    if network is None or not _fits(network.inputs[0], entry.tensor):
        raise ValueError(
            "`old` must take what leaves the augmentation of `new`. "
            f"Received: old={old.name} for inputs {old.input_shape}, "
            f"new={new.name} for inputs {new.input_shape}"
        )
    distillation = Distillation(
        classes,
        student,
        head=head,
        strength=float(strength),
        temperature=float(temperature),
        name="distillation",
    )
    graph = functional_graph(new)
    [outputs] = graph.outputs
    answers = Teacher(network, likelihood, name="teacher")(entry.tensor)
    return DistilledClassifier(
        graph.input,
        outputs,
        taught=distillation(outputs, answers, features),
        distillation=distillation,
        class_names=getattr(new, "class_names", None),
        name=new.name,
    )


def _check_number(name: str, value, least: float | None = None) -> None:
    is_number = isinstance(value, int | float | np.number)
    is_valid = is_number and not isinstance(value, bool)
    if not is_valid or not (
        0 < value < math.inf or (least is not None and value == least)
    ):
        rule = "above 0" if least is None else f"of at least {least:g}"
        raise ValueError(
            f"`{name}` must be a number {rule}. Received: {name}={value!r}"
        )


def _check_classifier(name: str, model) -> None:
    graph = functional_graph(model)
    if isinstance(model, DistilledClassifier) or graph is None:
        raise ValueError(
            f"`{name}` must be a functional or sequential classifier, and not "
            "one that this function has made. "
            f"Received: {name}={getattr(model, 'name', model)!r}"
        )
    shapes = [t.shape for t in graph.outputs]
    if len(graph.inputs) != 1 or [len(shape) for shape in shapes] != [2]:
        raise ValueError(
            f"`{name}` must have one input, and one output `(batch, classes)`. "
            f"Received: {name}={model.name} with {len(graph.inputs)} inputs "
            f"and outputs of shapes {shapes}"
        )


def _extends(new, old) -> bool:
    """Tell whether the first outputs of one model are those of another."""
    count = old.output_shape[-1]
    names = [getattr(model, "class_names", None) for model in (new, old)]
    if None not in names:
        return list(names[0])[:count] == list(names[1])
    # As `extend_classes` makes it of models without names.
    output = find_output_layer(new)
    units = [part.units for part in output.parts] if output else []
    return count in np.cumsum(units)[:-1]


def _find_kind(model, likelihood: Likelihood) -> Likelihood:
    found = find_likelihood(model)
    if found.exclusive != likelihood.exclusive:
        raise ValueError(
            "`new` has the classes of `old`, which must exclude each other in "
            "both of them, or in neither (`multi_label`). "
            f"Received: new={model.name}"
        )
    return found


def _find_features(new, answering) -> keras.KerasTensor:
    """Return what enters the head of a model, a tensor in the graph of `new`.

    Raises:
        ValueError: If there is no such tensor.
    """
    features = head_input(answering)
    graph = functional_graph(new)
    made = [t for node in ordered_nodes(graph) for t in node.outputs]
    if not any(features is tensor for tensor in (*graph.inputs, *made)):
        raise ValueError(
            "`new` must have a head, entered by one tensor, on the features of "
            "`old`, or with the classes of `old` as its first: make it with "
            "`kt.replace_head(old, names)` or `kt.extend_classes(old, names)`. "
            f"Received: new={new.name} with the classes "
            f"{getattr(new, 'class_names', None)}"
        )
    return features


def _fits(wanted, given) -> bool:
    return len(wanted.shape) == len(given.shape) and all(
        None in pair or pair[0] == pair[1]
        for pair in zip(wanted.shape, given.shape, strict=True)
    )
