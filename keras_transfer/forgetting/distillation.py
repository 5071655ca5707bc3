"""A penalty on answers that differ from those of a teacher."""

import keras
from keras import ops

from keras_transfer.forgetting.answer_logits import answer_logits
from keras_transfer.forgetting.likelihood import Likelihood

# Of logits. Adam makes steps of full size of what is only rounded differently.
_ROUNDING = 1e-4


class Distillation(keras.layers.Layer):
    """Adds to the loss what a model has forgotten of its teacher's answers.

    Equations 2 and 3 of Li & Hoiem 2016, arXiv:1606.09282: the cross-entropy
    of the softened answers, less the entropy of the teacher's. That does not
    depend on the model: gradients are the same, and the penalty is 0 where
    nothing is forgotten. It is a mean over the examples. Times the square of
    the temperature, gradients are of one size whatever it is (Hinton et al.
    2015, arXiv:1503.02531). Of classes that do not exclude each other, each
    is a distribution of its own, and they are summed.

    Args:
        classes: Number of the old classes.
        likelihood: What the answers of the student mean.
        head: What answers for the old classes, with its first outputs: a
            model from the features that enter the head.
        strength: Factor of the penalty.
        temperature: By what logits are divided.
        **kwargs: As for `keras.layers.Layer`.
    """

    def __init__(
        self,
        classes: int,
        likelihood: Likelihood,
        *,
        head: keras.Model,
        strength: float,
        temperature: float,
        **kwargs,
    ):
        super().__init__(autocast=False, dtype="float32", **kwargs)
        self.head = head
        self._classes = classes
        self._likelihood = likelihood
        self._temperature = temperature
        labels = 1 if likelihood.exclusive else classes
        self._factor = strength * labels * temperature**2

    def call(self, outputs, answers, features, training=False):
        if training:
            # With dropout it would differ where nothing is forgotten.
            student = self.head(features, training=False)[:, : self._classes]
            student = answer_logits(student, self._likelihood)
            loss = compare(answers, student, self._temperature)
            self.add_loss(self._factor * loss)
        return outputs

    def compute_output_spec(self, outputs, *args, **kwargs):
        return keras.KerasTensor(outputs.shape, outputs.dtype)


def compare(teacher, student, temperature: float):
    """Return the mean divergence of softened answers, a scalar.

    Not `keras.distillation.LogitsDistillation`: in Keras 3.15 its default
    takes logits for probabilities, and with `KLDivergence()` it has no
    gradient where the student gives a class less than 1e-7.

    Args:
        teacher: Logits `(..., classes)`.
        student: The same.
        temperature: By what they are divided.
    """
    is_same = ops.abs(student - teacher) <= _ROUNDING
    student = ops.where(is_same, ops.stop_gradient(teacher), student)
    teacher, student = teacher / temperature, student / temperature
    target = ops.softmax(teacher)
    cross_entropy, entropy = (
        keras.losses.categorical_crossentropy(target, x, from_logits=True)
        for x in (student, teacher)
    )
    return ops.mean(cross_entropy - entropy)
