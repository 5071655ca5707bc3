"""A penalty on the way that weights go from where they started."""

import keras

from keras_transfer.forgetting.learned_weights import learned_weights
from keras_transfer.forgetting.weight_anchor import WeightAnchor


class L2SP:
    """Keeps a model near its pretrained weights (L2-SP).

    Adds `strength / 2 * ‖w - w₀‖²` to the loss, where `w₀` are the weights
    below the head as they are now, and `head_strength / 2 * ‖w‖²` for those
    of the head. Weight decay pulls a network towards 0, away from what it has
    learned; this pulls it back to that.

    Keras itself adds the penalty up, by the `regularizer` of each variable,
    beside the one that it has: `fit`, `evaluate`, `kt.fine_tune` and
    callbacks need to know nothing. Weights that are frozen count nothing while
    they are. Statistics of BatchNorm are left alone. The start is not among
    the weights of the model; a file has neither it nor the penalty.

    Make it when the pretrained weights are in place, and not while `fit`
    runs; another model with the same weights has the penalty as well, once it
    is compiled. Optimizers that scale gradients (Adam) scale those of the
    penalty, too. A `solver` of a phase does not know it.

    Li et al. 2018, "Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks", arXiv:1802.01483, section 3.

    Example:

    ```python
    model = kt.build_classifier(backbone, train.class_names)
    anchor = kt.L2SP(model, 0.01)
    result = kt.fine_tune(model, train, validation)
    print(anchor.penalty())
    anchor.remove()
    ```

    Args:
        model: A built Keras model.
        strength: Factor of the penalty on weights below the head, at least
            0. Defaults to 0.01.
        head_strength: The same for the head, which is the last of
            `kt.layer_groups`, if its name is that. Defaults to 0.01. `None`
            is for a head that is pretrained as well: it is held to its
            weights like the rest.

    Attributes:
        strength: As given. A new value counts from the next step on.
        head_strength: The same.
        variables: The variables that are held to where they started.

    Raises:
        ValueError: If the model has no weights, or a strength is none.
    """

    def __init__(
        self,
        model: keras.Model,
        strength: float = 0.01,
        *,
        head_strength: float | None = 0.01,
    ):
        self._body = WeightAnchor(strength)
        self._head = None
        if head_strength is not None:
            self._head = WeightAnchor(
                head_strength, anchored=False, name="head_strength"
            )
        below, head = learned_weights(model)
        if self._head is None:
            self._body.hold(model, [*below, *head])
        else:
            self._body.hold(model, below)
            self._head.hold(model, head)

    @property
    def strength(self) -> float:
        return self._body.strength

    @strength.setter
    def strength(self, value: float):
        self._body.strength = value

    @property
    def head_strength(self) -> float | None:
        return None if self._head is None else self._head.strength

    @head_strength.setter
    def head_strength(self, value: float):
        if self._head is None:
            raise ValueError(
                "This head is held to its weights, by `strength`; pass "
                "`head_strength` when making the anchor. "
                f"Received: head_strength={value!r}"
            )
        self._head.strength = value

    @property
    def variables(self) -> tuple[keras.Variable, ...]:
        return self._body.variables

    def penalty(self) -> float:
        """Return what it adds to the loss now, for what is trainable now."""
        head = 0.0 if self._head is None else self._head.measure()
        return self._body.measure() + head

    def remove(self) -> None:
        """Take the penalty off, and leave earlier regularizers as they were.

        Training is then what it is without any. A second time does nothing.
        """
        self._body.remove()
        if self._head is not None:
            self._head.remove()
