"""What one epoch at learning rate 0 does to a backbone.

    python benchmarks/batch_norm.py

The recipe of Keras's transfer-learning guide calls the backbone with
`training=False` to keep BatchNorm still. Prints how far the features of real
pictures move, relative to their size, with that recipe and with ours, while
nothing can be learned: the learning rate is 0.
"""

import pathlib

import keras
import numpy as np

import keras_transfer as kt

CLIPART = pathlib.Path(__file__).parents[1] / "examples/data/clipart14"
SIDE = 96


def main():
    train, _ = kt.load_image_folder(
        CLIPART, image_size=SIDE, validation_split=0
    )
    print(f"guide's recipe:  {drift(build_like_the_guide(), train):.4f}")
    print(f"keras-transfer:  {drift(build_with_ours(), train):.4f}")


def load():
    return kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(SIDE, SIDE, 3)
    )


def build_like_the_guide():
    backbone = load()
    inputs = keras.Input((SIDE, SIDE, 3))
    x = backbone.preprocess(inputs)
    x = backbone.model(x, training=False)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, keras.layers.Dense(14, "softmax")(x))


def build_with_ours():
    backbone = load()
    head = keras.layers.Identity(name="features")
    model = kt.build_classifier(backbone, 14, head=head)
    kt.set_trainable(model, "all")
    return model


def drift(model, data):
    """Relative change of the features in an epoch at learning rate 0."""
    features = keras.Model(model.input, model.get_layer("features").output)
    images = np.concatenate([x for x, _ in data])
    before = features.predict(images, verbose=0)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    model.fit(data, shuffle=False, verbose=0)
    after = features.predict(images, verbose=0)
    return np.linalg.norm(after - before) / np.linalg.norm(before)


if __name__ == "__main__":
    main()
