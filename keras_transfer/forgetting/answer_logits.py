"""What a classifier answers, as logits of distributions."""

from keras import ops

from keras_transfer.forgetting.likelihood import Likelihood

_TINY = 1e-30


def answer_logits(outputs, likelihood: Likelihood):
    """Turn outputs of a classifier into logits, of a softmax in each case.

    Args:
        outputs: Outputs `(batch, classes)` of any float dtype. Of classes
            that exclude each other, some of all will do: the softmax makes
            them add up to 1 again.
        likelihood: What they mean.

    Returns:
        A float32 tensor. `(batch, classes)` for classes that exclude each
        other; otherwise `(batch, classes, 2)`, where an example belongs to
        each of them, or not.
    """
    outputs = ops.cast(outputs, "float32")
    if likelihood.exclusive:
        return outputs if likelihood.from_logits else _log(outputs)
    if likelihood.from_logits:
        return ops.stack([outputs, ops.zeros_like(outputs)], axis=-1)
    return ops.stack([_log(outputs), _log(1 - outputs)], axis=-1)


def _log(probabilities):
    return ops.log(ops.maximum(probabilities, _TINY))
