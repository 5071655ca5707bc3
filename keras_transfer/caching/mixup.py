"""Mixup of features."""

import keras
import tensorflow as tf


def mix_batch(batch: tuple, alpha: float, draw: tf.Tensor) -> tuple:
    """Mix each example with another one of its batch.

    Zhang et al. 2017, "mixup: Beyond Empirical Risk Minimization",
    arXiv:1710.09412, on features as in Verma et al. 2018, "Manifold Mixup",
    arXiv:1806.05236. Labels are not mixed, but the loss is: each mix comes
    twice, with the label of either example and its share as weight. For
    losses that are linear in the label, such as all crossentropies, this is
    the same, and it serves every kind of label and loss.

    Args:
        batch: `(features, y)` or `(features, y, sample_weight)`. Features that
            are not of a floating dtype stay as they are.
        alpha: Shares follow a Beta distribution with both parameters `alpha`:
            the larger, the more is mixed. The paper has 0.1 to 0.4.
        draw: Two integers that decide what is drawn.

    Returns:
        `(features, y, sample_weight)` of twice as many examples, whose mean
        loss is that of the mixes.
    """
    features, y, *weight = batch
    count = tf.shape(keras.tree.flatten(y)[0])[0]
    gammas = tf.random.stateless_gamma([2, count], draw, alpha)
    # Two numbers near zero may both be rounded to it.
    share = gammas[0] / tf.maximum(tf.reduce_sum(gammas, axis=0), 1e-30)
    order = tf.random.stateless_uniform([count], draw + 1)
    partner = tf.argsort(order)

    def mix(tensor):
        if not tensor.dtype.is_floating:
            return tf.concat([tensor, tensor], 0)
        shape = tf.concat([[count], tf.ones(tf.rank(tensor) - 1, "int32")], 0)
        its_share = tf.cast(tf.reshape(share, shape), tensor.dtype)
        other = tf.gather(tensor, partner)
        mixed = its_share * tensor + (1 - its_share) * other
        return tf.concat([mixed, mixed], 0)

    def pair(tensor):
        return tf.concat([tensor, tf.gather(tensor, partner)], 0)

    shares = 2 * tf.concat([share, 1 - share], 0)
    if weight:
        # There may be weights for each of several outputs.
        shares = keras.tree.map_structure(
            lambda part: shares * tf.cast(pair(part), shares.dtype), weight[0]
        )
    return (
        keras.tree.map_structure(mix, features),
        keras.tree.map_structure(pair, y),
        shares,
    )
