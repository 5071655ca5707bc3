"""Networks as people bring them: tiny ones, and keras.applications."""

import functools

import keras
import numpy as np
from keras import layers

import keras_transfer as kt

# One member of each family of keras.applications, and the least input side.
FAMILIES = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "Xception": 71,
}


@functools.cache
def application(name):
    """Build a classifier of keras.applications, once for all tests."""
    side = FAMILIES[name]
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classes=7
    )
    randomize(model)
    return model


def randomize(model, seed=0):
    """Give normalization layers statistics, gammas and betas that show."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.7, 1.4, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(random.normal(0, 0.3, weight.shape))


def batch_for(model, size=6, seed=0):
    """Draw inputs that fit a model: token numbers where it wants integers."""
    random = np.random.default_rng(seed)
    inputs = getattr(model, "inputs", None) or [keras.Input((6,))]
    arrays = [
        random.integers(0, 20, (size, *tensor.shape[1:])).astype("int32")
        if tensor.dtype.startswith("int")
        else random.normal(0, 1, (size, *tensor.shape[1:])).astype("float32")
        for tensor in inputs
    ]
    return arrays if len(arrays) > 1 else arrays[0]


def values(variables):
    """Copy the values of variables."""
    return [keras.ops.convert_to_numpy(v).copy() for v in variables]


def moved(variables, before):
    """Name the variables that differ from the values that they had."""
    return {
        variable.path
        for variable, value in zip(variables, before, strict=True)
        if not np.array_equal(keras.ops.convert_to_numpy(variable), value)
    }


def train(model, x, *, learning_rate=0.1, epochs=1, batch_size=None, **options):
    """Compile a model and fit it to random targets."""
    model.compile(keras.optimizers.SGD(learning_rate), "mse", **options)
    random = np.random.default_rng(1)
    size = len(keras.tree.flatten(x)[0])
    outputs = getattr(model, "outputs", None) or [keras.Input((3,))]
    y = [random.normal(0, 1, (size, *tensor.shape[1:])) for tensor in outputs]
    model.fit(
        x,
        y if len(y) > 1 else y[0],
        epochs=epochs,
        batch_size=batch_size,
        shuffle=False,
        verbose=0,
    )


def conv_block(x, filters, name, stride=1):
    """Add a residual block with BatchNorm and dropout."""
    shortcut = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_short")
    y = layers.Conv2D(
        filters, 3, strides=stride, padding="same", name=f"{name}_conv"
    )(x)
    y = layers.BatchNormalization(name=f"{name}_bn")(y)
    y = layers.ReLU(name=f"{name}_relu")(y)
    y = layers.SpatialDropout2D(0.3, name=f"{name}_drop")(y)
    return layers.Add(name=f"{name}_add")([y, shortcut(x)])


def conv_base(name="base", side=8):
    """Build a stem and three residual blocks, without a head."""
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first_conv")(inputs)
    x = layers.BatchNormalization(name="first_bn")(x)
    for letter in "abc":
        x = conv_block(x, 4, f"res_{letter}")
    return keras.Model(inputs, x, name=name)


def tiny_backbone(channels=6):
    """Load a backbone of three convolutions, for pictures 8 pixels wide."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    for number in (1, 2, 3):
        x = layers.Conv2D(channels, 3, name=f"block{number}_conv")(x)
        x = layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
    return kt.load_backbone(keras.Model(inputs, x, name="tiny"))


def mlp():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(8, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ],
        name="mlp",
    )


def cnn():
    base = conv_base()
    x = layers.GlobalAveragePooling2D()(base.output)
    x = layers.Dropout(0.3)(x)
    return keras.Model(base.input, layers.Dense(3)(x), name="cnn")


def text_rnn():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 6, mask_zero=True)(inputs)
    x = layers.Bidirectional(
        layers.LSTM(5, return_sequences=True, dropout=0.3)
    )(x)
    x = layers.GRU(5, recurrent_dropout=0.3)(x)
    x = layers.Dense(6, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(x), name="text_rnn")


def transformer():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 8)(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, 4, dropout=0.3)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(16, activation="gelu")(y)
        x = x + layers.Dropout(0.3)(layers.Dense(8)(y))
    x = layers.LayerNormalization()(x)[:, 0]
    return keras.Model(inputs, layers.Dense(3)(x), name="transformer")


def unet():
    inputs = keras.Input((16, 16, 3))
    x, skips = inputs, []
    for filters in (4, 6, 8):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(10, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((8, 6, 4), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
        x = layers.Concatenate()([x, skip])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid")(x)
    return keras.Model(inputs, x, name="unet")


def two_towers():
    towers, inputs = [], []
    for _ in range(2):
        tower_input = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, activation="relu")(tower_input)
        x = layers.Conv2D(4, 3, activation="relu")(x)
        towers.append(layers.GlobalAveragePooling2D()(x))
        inputs.append(tower_input)
    x = layers.Concatenate()(towers)
    return keras.Model(inputs, layers.Dense(3)(x), name="two_towers")


def two_outputs():
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu")(inputs)
    x = layers.Dense(8, activation="relu")(x)
    outputs = [layers.Dense(3, name="kind")(x), layers.Dense(1, name="age")(x)]
    return keras.Model(inputs, outputs, name="two_outputs")


def siamese():
    base = conv_base()
    tower = keras.Model(
        base.input, layers.GlobalAveragePooling2D()(base.output), name="tower"
    )
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    x = layers.Subtract()([tower(inputs[0]), tower(inputs[1])])
    return keras.Model(inputs, layers.Dense(1)(x), name="siamese")


def tied():
    """Build a net that uses its first layer again after its blocks."""
    inputs = keras.Input((6,))
    shared = layers.Dense(6, name="shared")
    x = shared(inputs)
    for letter in "abc":
        y = layers.Dense(6, activation="relu", name=f"wide_{letter}")(x)
        x = x + layers.Dense(6, name=f"narrow_{letter}")(y)
    x = shared(x)
    return keras.Model(inputs, layers.Dense(3, name="out")(x), name="tied")


def nested():
    inputs = keras.Input((8, 8, 3))
    x = conv_base()(inputs, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(3)(x), name="nested")


def nested_twice():
    inner = keras.Sequential(
        [layers.Rescaling(2.0), conv_base(), layers.GlobalMaxPooling2D()],
        name="inner",
    )
    head = keras.Sequential(
        [layers.Dense(6, activation="relu"), layers.Dense(3)], name="top"
    )
    return keras.Sequential(
        [keras.Input((8, 8, 3)), inner, head], name="nested_twice"
    )


def adapted():
    """Build a net with weights before its nested backbone, and beside it."""
    image, table = keras.Input((8, 8, 1)), keras.Input((4,))
    x = layers.Conv2D(3, 1, name="to_rgb")(image)
    x = layers.GlobalAveragePooling2D()(conv_base()(x))
    y = layers.Dense(4, name="table_dense")(table)
    x = layers.Concatenate()([x, y])
    outputs = layers.Dense(3, name="out")(x)
    return keras.Model([image, table], outputs, name="adapted")


def wrapper():
    """Build a net that is preprocessing around a whole classifier."""
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(0.5), cnn()], name="wrapper"
    )


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A layer made of layers, as many write their blocks."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units, activation="relu")
        self.norm = layers.BatchNormalization()
        self.dropout = layers.Dropout(0.4)

    def build(self, shape):
        self.dense.build(shape)
        self.norm.build((*shape[:-1], self.units))

    def call(self, x):
        return self.dropout(self.norm(self.dense(x)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def blocks():
    inputs = keras.Input((6,))
    x = inputs
    for _ in range(3):
        x = Block(6)(x)
    return keras.Model(inputs, layers.Dense(3)(x), name="blocks")


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model whose layers are in no graph, with a weight of its own."""

    def __init__(self, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(8, activation="relu")
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(dropout)
        self.second = layers.Dense(6)
        self.scale = self.add_weight(name="scale", initializer="ones")
        self.last = layers.Dense(3)

    def call(self, x):
        x = self.drop(self.norm(self.first(x)))
        return self.last(self.second(x) * self.scale)


def subclassed(dropout=0.0):
    model = Subclassed(dropout, name="subclassed")
    model(keras.Input((6,)))
    return model


@keras.saving.register_keras_serializable("tests")
class Functional(keras.Model):
    """A class around a graph, as KerasHub's backbones are."""

    def __init__(self, dropout=0.4, **kwargs):
        inputs = keras.Input((6,))
        x = layers.Dense(8, name="first")(inputs)
        x = layers.Dropout(dropout)(layers.Dense(8, name="second")(x))
        x = layers.Dense(6, name="third")(x)
        super().__init__(inputs, layers.Dense(3, name="last")(x), **kwargs)


class OwnCall(Functional):
    """A class around a graph, with a call that does more."""

    def __init__(self, dropout=0.0, **kwargs):
        super().__init__(dropout, **kwargs)

    def call(self, x, training=None):
        return super().call(x * 2.0, training=training)


NETWORKS = {
    network.__name__: network
    for network in (
        mlp,
        cnn,
        text_rnn,
        transformer,
        unet,
        two_towers,
        two_outputs,
        siamese,
        tied,
        nested,
        nested_twice,
        adapted,
        wrapper,
        blocks,
        subclassed,
        Functional,
        OwnCall,
    )
}


def build(name):
    """Build a tiny network with values that show."""
    model = NETWORKS[name]()
    randomize(model)
    return model
