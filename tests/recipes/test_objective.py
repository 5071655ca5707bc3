import keras
import pytest
import tensorflow as tf

from keras_transfer.recipes.objective import compile_arguments


def ending_in(activation, units=3):
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(units, activation=activation)]
    )


@pytest.mark.parametrize(
    "activation, labels, loss",
    [
        ("softmax", (None,), "sparse_categorical_crossentropy"),
        ("softmax", (None, 1), "sparse_categorical_crossentropy"),
        ("softmax", (None, 3), "categorical_crossentropy"),
    ],
)
def test_loss_follows_from_outputs_and_labels(activation, labels, loss):
    labels = tf.TensorSpec(labels, tf.int32)
    arguments = compile_arguments(ending_in(activation), labels)
    assert arguments == {"loss": loss, "metrics": ["accuracy"]}


def test_sigmoids_are_judged_one_by_one():
    labels = tf.TensorSpec((None, 3), tf.float32)
    arguments = compile_arguments(ending_in("sigmoid"), labels)
    assert arguments["loss"] == "binary_crossentropy"
    [metric] = arguments["metrics"]
    assert metric.name == "accuracy"
    assert float(metric([[1, 0, 1]], [[0.9, 0.8, 0.7]])) == pytest.approx(2 / 3)


def test_logits_do_not_tell_their_loss():
    with pytest.raises(ValueError, match="Compile the model with a loss"):
        compile_arguments(ending_in(None), tf.TensorSpec((None,), tf.int32))


def test_a_compiled_model_keeps_its_own():
    model = ending_in(None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metric = keras.metrics.SparseTopKCategoricalAccuracy(k=2)
    model.compile("sgd", loss, metrics=[metric], steps_per_execution=2)
    arguments = compile_arguments(model, tf.TensorSpec((None,), tf.int32))
    assert arguments["loss"] is loss
    assert arguments["metrics"] == [metric]
    assert arguments["steps_per_execution"] == 2
    assert "optimizer" not in arguments
