"""Tiny SavedModels in plain TensorFlow, as other people would export them."""

import tensorflow as tf

SIZE = 8
CLASSES = 5


def _weight(name, *shape, seed):
    value = 0.3 * tf.random.stateless_normal(shape, [seed, 7])
    return tf.Variable(value, name=name)


class ConvNet(tf.Module):
    """Convolution, BatchNorm, dropout and two dense blocks, with l2."""

    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout
        self.kernel = _weight("net/stem/conv/kernel", 3, 3, 3, 4, seed=1)
        self.gamma = tf.Variable(tf.ones([4]), name="net/stem/bn/gamma")
        self.mean = tf.Variable(
            tf.zeros([4]), name="net/stem/bn/moving_mean", trainable=False
        )
        self.variance = tf.Variable(
            tf.ones([4]), name="net/stem/bn/moving_variance", trainable=False
        )
        self.first = _weight("net/block_1/dense/kernel", 4, 6, seed=2)
        self.second = _weight("net/block_2/dense/kernel", 6, CLASSES, seed=3)
        self.regularization_losses = [self._l2]

    @tf.function(input_signature=[])
    def _l2(self):
        return 0.1 * tf.reduce_sum(self.first**2)

    @tf.function
    def __call__(self, x, training=False):
        x = tf.nn.conv2d(x, self.kernel, 1, "SAME")
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = tf.nn.moments(x, [0, 1, 2])
            self.mean.assign(0.9 * self.mean + 0.1 * mean)
            self.variance.assign(0.9 * self.variance + 0.1 * variance)
        x = (x - mean) * tf.math.rsqrt(variance + 1e-3) * self.gamma
        x = tf.reduce_mean(tf.nn.relu(x), [1, 2])
        if training:
            x = tf.nn.dropout(x, self.dropout)
        return tf.nn.relu(x @ self.first) @ self.second


def save_conv_net(folder, dropout=0.5, list_statistics=True):
    """Save a reusable SavedModel with lists of variables, as TF Hub asks."""
    net = ConvNet(dropout)
    _trace(net.__call__)
    reusable = tf.train.Checkpoint(net=net)
    reusable.__call__ = net.__call__
    weights = [net.kernel, net.gamma, net.first, net.second]
    statistics = [net.mean, net.variance] if list_statistics else []
    reusable.variables = weights + statistics
    reusable.trainable_variables = weights
    reusable.regularization_losses = net.regularization_losses
    tf.saved_model.save(reusable, str(folder))
    return str(folder)


def save_module(folder, dropout=0.5):
    """Save a `tf.Module`, which loads without any lists of variables."""
    net = ConvNet(dropout)
    _trace(net.__call__)
    tf.saved_model.save(net, str(folder))
    return str(folder)


def save_signature_only(folder):
    """Save two signatures, one of them with two outputs, and no call."""
    holder = tf.train.Checkpoint(kernel=_weight("kernel", 3, 2, seed=4))
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")

    @tf.function(input_signature=[spec])
    def one(x):
        return {"scores": x @ holder.kernel}

    @tf.function(input_signature=[spec])
    def two(x):
        y = x @ holder.kernel
        return {"scores": y, "twice": 2.0 * y}

    holder.one, holder.two = one, two
    signatures = {"serving_default": one, "two": two}
    tf.saved_model.save(holder, str(folder), signatures=signatures)
    return str(folder)


def save_without_training_argument(folder):
    """Save a callable that takes inputs only; nested, with generic names."""

    class Dense(tf.Module):
        def __init__(self, seed):
            super().__init__()
            self.w = tf.Variable(_weight("w", 4, 4, seed=seed))

    class Stack(tf.Module):
        def __init__(self):
            super().__init__()
            self.bottom, self.top = Dense(5), Dense(6)

        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def __call__(self, x):
            return tf.tanh(x @ self.bottom.w) @ self.top.w

    tf.saved_model.save(Stack(), str(folder))
    return str(folder)


def save_without_trainable_variables(folder):
    """Save a callable whose only variable cannot be trained."""

    class Shift(tf.Module):
        def __init__(self):
            super().__init__()
            self.offset = tf.Variable(2.0, trainable=False, name="offset")

        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def __call__(self, x):
            return x + self.offset

    tf.saved_model.save(Shift(), str(folder))
    return str(folder)


def save_text_embedding(folder, vocabulary):
    """Save strings to vectors, by a lookup table with an asset file."""
    vocabulary.write_text("red\ngreen\nblue\n")

    class Embedding(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = tf.lookup.StaticVocabularyTable(
                tf.lookup.TextFileInitializer(
                    str(vocabulary),
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                ),
                num_oov_buckets=1,
            )
            self.vectors = _weight("embeddings", 4, 3, seed=8)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, words):
            return tf.gather(self.vectors, self.table.lookup(words))

    tf.saved_model.save(Embedding(), str(folder))
    return str(folder)


def save_dict_module(folder):
    """Save a dict of inputs to a dict of outputs, as a text encoder has."""

    class Encoder(tf.Module):
        def __init__(self):
            super().__init__()
            self.vectors = _weight("encoder/layer_0/kernel", 9, 4, seed=9)

        @tf.function
        def __call__(self, inputs, training=False):
            ids, mask = inputs["ids"], tf.cast(inputs["mask"], tf.float32)
            sequence = tf.gather(self.vectors, ids) * mask[..., None]
            return {
                "sequence": sequence,
                "pooled": tf.reduce_mean(sequence, axis=1),
            }

    encoder = Encoder()
    spec = tf.TensorSpec([None, None], tf.int32)
    for training in (True, False):
        encoder.__call__.get_concrete_function(
            {"ids": spec, "mask": spec}, training=training
        )
    tf.saved_model.save(encoder, str(folder))
    return str(folder)


def save_tf1_module(folder):
    """Save a module of the TF1 Hub format."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4])
        y = x @ v1.get_variable("kernel", [4, 2])
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.signature_def_utils.predict_signature_def(
            {"x": x}, {"default": y, "inner": 2.0 * y}
        )
        builder = v1.saved_model.Builder(str(folder))
        graph = {"signature_def_map": {"default": signature}}
        builder.add_meta_graph_and_variables(session, [], **graph)
        builder.add_meta_graph(["train"], **graph)
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return str(folder)


def save_tf_keras_model(folder):
    """Save a compiled Keras 2 model, as most of TF Hub was made."""
    import tf_keras

    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 3)),
            layers.Conv2D(4, 3, name="stem_conv"),
            layers.BatchNormalization(name="block_1_bn"),
            layers.Flatten(),
            layers.Dense(
                CLASSES,
                name="block_2_dense",
                kernel_regularizer=tf_keras.regularizers.L2(0.1),
            ),
        ]
    )
    model.compile("adam", "mse")
    model.fit(images(8), tf.zeros([8, CLASSES]), verbose=0)
    model.save(str(folder))
    return str(folder)


def save_without_rank(folder):
    """Save a callable that does not tell the shape of its output."""

    class Shapeless(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def __call__(self, x):
            shape = tf.boolean_mask(tf.shape(x), [True, True])
            return tf.reshape(x, shape)

    tf.saved_model.save(Shapeless(), str(folder))
    return str(folder)


def images(n=4):
    """Return fixed random images."""
    return tf.random.stateless_normal([n, SIZE, SIZE, 3], [n, 3])


def _trace(function):
    spec = tf.TensorSpec([None, SIZE, SIZE, 3])
    for training in (True, False):
        function.get_concrete_function(spec, training=training)
