"""What `forgetting.py` trains: networks that know one task and get another."""

import dataclasses

import keras
import numpy as np

import keras_transfer as kt

BACKBONE = "bundled:efficientnet_lite0"
HEAD_EPOCHS, EPOCHS, RATE = 20, 6, 3e-4
CONFIDENCE = 0.3  # of ImageNet's head, from which its answer is a label
NEW = "clipart14"
OLD, OTHER_STYLE = "emoji13/google", "emoji13/twitter"
_IMAGENET_CLASSES = 1000


@dataclasses.dataclass
class Case:
    """A network that knows an old task, before it learns a new one.

    Attributes:
        old: The model that knows the old task.
        new: The same backbone with a head for the new task, which has been
            trained on the features as they are.
        old_train: Arrays `(x, y)` of the old task.
        old_test: The same, to test.
        new_train: Arrays of the new task.
        new_test: The same, to test.
        seed: The seed.
    """

    old: keras.Model
    new: keras.Model
    old_train: tuple
    old_test: tuple
    new_train: tuple
    new_test: tuple
    seed: int

    def __post_init__(self):
        self.start = self.old.get_weights(), self.new.get_weights()
        self._end = None

    def reset(self):
        """Go back to where all methods start."""
        keras.utils.set_random_seed(self.seed)
        for model, weights in zip(
            (self.old, self.new), self.start, strict=True
        ):
            model.set_weights(weights)

    def train(self, rate=RATE, callbacks=()):
        """Train all of the new model."""
        train(self.new, self.new_train, after_head(rate), self.seed, callbacks)

    def learn_plainly(self):
        """Train all of the new model, with nothing against forgetting."""
        if self._end is None:
            self.train()
            self._end = self.new.get_weights()
        self.new.set_weights(self._end)

    def measure(self):
        """Return the accuracy of both heads on the backbone as it is."""
        return [
            accuracy(self.old, self.old_test),
            accuracy(self.new, self.new_test),
        ]


def after_head(rate=RATE, epochs=EPOCHS):
    return [kt.Phase("all", epochs, rate, schedule="warmup_cosine")]


def train(model, data, phases, seed, callbacks=()):
    """Run phases, and keep the weights of the end."""
    kt.fine_tune(
        model,
        data,
        strategy=phases,
        callbacks=callbacks,
        baselines=False,
        log_dir=False,
        seed=seed,
        verbose=0,
    )


def train_head(model, data, seed):
    train(model, data, kt.strategies.extraction(HEAD_EPOCHS), seed)


def accuracy(model, data, classes=slice(None)):
    """Return the accuracy among some classes of a model.

    Args:
        model: The model.
        data: Arrays; labels count from the first of these classes.
        classes: A slice.
    """
    x, y = data
    # One batch: one trace.
    answers = model.predict(x, batch_size=len(x), verbose=0)[:, classes]
    return float((answers.argmax(axis=1) == y).mean())


def load(x):
    return kt.load_backbone(BACKBONE, input_shape=x.shape[1:])


def add_task(old, old_train, old_test, new_train, new_test, seed):
    """Make a case of a model that knows the old task."""
    keras.utils.set_random_seed(seed)
    new = kt.replace_head(old, int(new_train[1].max()) + 1)
    train_head(new, new_train, seed)
    return Case(old, new, old_train, old_test, new_train, new_test, seed)


def load_imagenet(x):
    """Return a classifier with the head that came with the backbone."""
    model = kt.build_classifier(load(x), _IMAGENET_CLASSES)
    whole = kt.EfficientNetLite0(input_shape=x.shape[1:])
    head = whole.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights(head)
    return model


def answer(model, x):
    """Take a model's own confident answers as labels; drop all others."""
    answers = model.predict(x, batch_size=len(x), verbose=0)
    sure = answers.max(axis=1) > CONFIDENCE
    return x[sure], answers.argmax(axis=1)[sure].astype("int32")


def split(pictures, shares, seed):
    """Split the pictures of each class at random.

    Args:
        pictures: For each style, `{class: {name: pixels}}`; the same names in
            all.
        shares: The share of each part but the last.
        seed: The seed.

    Returns:
        For each style a list of parts, arrays `(x, y)`.
    """
    random = np.random.default_rng(seed)
    names = []
    for of_class in pictures[0].values():
        order = random.permutation(sorted(of_class))
        ends = np.round(len(order) * np.cumsum(shares)).astype(int)
        names.append(np.split(order, ends))
    return [
        [_gather(style, part) for part in zip(*names, strict=True)]
        for style in pictures
    ]


def _gather(style, names):
    found = [
        (pictures[name], label)
        for label, (pictures, of_class) in enumerate(
            zip(style.values(), names, strict=True)
        )
        for name in of_class
    ]
    x, y = map(np.array, zip(*found, strict=True))
    return x.astype("float32"), y.astype("int32")
