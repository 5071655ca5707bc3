"""What the outputs of a classifier say about labels."""

import dataclasses

import keras
import tensorflow as tf

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.caching.answers import gives_logits

_TINY = 1e-30  # as a root, and over it, still far from the ends of float32


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """How labels are distributed, given the outputs for one example.

    Attributes:
        exclusive: Whether an example has one class; or of each class, whether
            it belongs to it.
        from_logits: Whether outputs are logits, or else probabilities.
    """

    exclusive: bool
    from_logits: bool

    def probabilities(self, outputs: tf.Tensor) -> tf.Tensor:
        """Turn outputs `(classes,)` into probabilities."""
        if not self.from_logits:
            return outputs
        return (tf.nn.softmax if self.exclusive else tf.sigmoid)(outputs)

    def log_likelihood(self, outputs: tf.Tensor, labels: tf.Tensor):
        """Return the logarithm of the probability of labels, a scalar.

        Args:
            outputs: Outputs for one example, `(classes,)`.
            labels: Floats of 0 and 1, of the same shape.
        """
        if self.from_logits and self.exclusive:
            return tf.reduce_sum(labels * tf.nn.log_softmax(outputs))
        if self.from_logits:
            yes, no = (
                tf.math.log_sigmoid(outputs),
                tf.math.log_sigmoid(-outputs),
            )
        else:
            yes, no = _log(outputs), _log(1 - outputs)
        if self.exclusive:
            return tf.reduce_sum(labels * yes)
        return tf.reduce_sum(labels * yes + (1 - labels) * no)

    def root_scores(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return what has the Fisher information for its squared gradients.

        With `√p`, `Σ p (∇ log p)² = Σ (2 ∇√p)²` over the classes is a sum that
        no `p` near 0 disturbs. Of a class that an example may belong to or
        not, the two terms are one: the square of the gradient of the angle
        whose sine and cosine are `√p` and `√(1 - p)`.

        Args:
            outputs: Outputs for one example, `(classes,)`.

        Returns:
            A tensor `(classes,)`. The squares of its gradients, added up, are
            the expected square of that of the log-likelihood.
        """
        if self.from_logits and self.exclusive:
            return 2 * tf.exp(tf.nn.log_softmax(outputs) / 2)
        if self.exclusive:
            return 2 * _root(outputs)
        if self.from_logits:
            # Beyond, it is flat, and `exp` would overflow at some point.
            outputs = tf.clip_by_value(outputs, -60.0, 60.0)
            return 2 * tf.atan(tf.exp(outputs / 2))
        return 2 * tf.atan2(_root(outputs), _root(1 - outputs))

    def draw(self, outputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draw labels as the model expects them.

        Args:
            outputs: Outputs for one example, `(classes,)`.
            seed: Two integers, as for `tf.random.stateless_uniform`.

        Returns:
            Floats of 0 and 1, of the same shape.
        """
        chances = self.probabilities(outputs)
        if not self.exclusive:
            drawn = tf.random.stateless_uniform(
                tf.shape(chances), seed, dtype=chances.dtype
            )
            return tf.cast(drawn < chances, chances.dtype)
        logits = tf.math.log(chances)[None]
        number = tf.random.stateless_categorical(logits, 1, seed)[0, 0]
        return tf.one_hot(number, tf.shape(chances)[0], dtype=chances.dtype)

    def mark(self, labels: tf.Tensor, classes: int) -> tf.Tensor:
        """Turn the labels of one example into floats of 0 and 1.

        Args:
            labels: The number of a class, or 0 or 1 for each class, `(1,)`,
                `(1, 1)` or `(1, classes)`.
            classes: How many outputs there are.

        Returns:
            A tensor `(classes,)`.
        """
        # Their number is known of the whole batch, not of a slice of it.
        is_number = self.exclusive and labels.shape[1:].num_elements() == 1
        labels = tf.reshape(labels, [1 if is_number else classes])
        if is_number:
            number = tf.cast(labels[0], "int64")
            return tf.one_hot(number, classes, dtype="float32")
        return tf.cast(labels, "float32")


def find_likelihood(
    model: keras.Model,
    *,
    multi_label: bool | None = None,
    from_logits: bool | None = None,
) -> Likelihood:
    """Find out what the outputs of a classifier mean.

    What it ends in tells: softmax or sigmoids, also of a nested model. Where
    that is neither, the loss does, if it is a crossentropy.

    Args:
        model: A Keras model with one output.
        multi_label: Whether an example may belong to several classes.
            Defaults to `None`, to find out.
        from_logits: Whether outputs are logits. Defaults to `None`, to find
            out.

    Raises:
        ValueError: If neither tells, and the arguments do not either.
    """
    activation, loss = _last_activation(model), _name_loss(model)
    ends_in_probabilities = activation in ("softmax", "sigmoid")
    is_known = ends_in_probabilities or "crossentropy" in loss
    if from_logits is None and is_known:
        from_logits = not ends_in_probabilities and gives_logits(model)
    if multi_label is None:
        multi_label = "binary" in loss
        if ends_in_probabilities:
            multi_label = activation == "sigmoid"
    if from_logits is None:
        raise ValueError(
            "Neither the last layer, which has no softmax nor sigmoid, nor a "
            "crossentropy as loss tells what the outputs mean. Pass "
            "`from_logits`, and `multi_label` for classes that do not exclude "
            f"each other. Received: model={model.name}, with the loss {loss!r}"
        )
    return Likelihood(exclusive=not multi_label, from_logits=from_logits)


def _name_loss(model) -> str:
    loss = getattr(model, "loss", None)
    if keras.tree.is_nested(loss):
        return ""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", "")
    name = (name or type(loss).__name__).lower()
    return "binary_crossentropy" if name == "bce" else name


def _last_activation(model) -> str:
    graph = functional_graph(model)
    if graph is None or len(graph.outputs) != 1:
        return ""
    last = graph.outputs[0]._keras_history.operation
    if isinstance(last, keras.Model):
        return _last_activation(last)
    if hasattr(last, "activation"):
        return getattr(last.activation, "__name__", "")
    return type(last).__name__.lower()  # a `Softmax` layer, or an operation


def _root(values):
    return tf.sqrt(tf.maximum(values, tf.cast(_TINY, values.dtype)))


def _log(values):
    return tf.math.log(tf.maximum(values, tf.cast(_TINY, values.dtype)))
