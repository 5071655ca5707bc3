"""Networks that differ, from good to useless, for `insight_ranking.py`'s tasks.

EfficientNet-Lite0 and MobileNetV2 with ImageNet weights; the lower half of
each; each with its upper half random again; each random; and a small network,
random, or trained on one of the tasks that is not the one to rank for. Where
weights are random, BatchNorm has the statistics of pictures of another task:
without, signals fade or explode on their way, and nothing can be fine-tuned.
"""

import functools
from typing import NamedTuple

import keras
import numpy as np
from keras import layers
from mobilenet_v2_weights import load_mobilenet_v2

import keras_transfer as kt

# Top-1 on ImageNet as their authors give it. For a network that was cut or
# damaged there is no such number; the first is what its name promises.
IMAGENET = {"lite0": 0.751, "mobilenet": 0.719}
HALVES = {"lite0": "block_8", "mobilenet": "block_8"}
# Weights that take long to make, and accuracies on their own task.
CALIBRATED, PRETRAINED = {}, {}


class Pictures(NamedTuple):
    """Pictures and labels of a task."""

    source: str
    x: np.ndarray
    y: np.ndarray


def load_lite0(side, weights="imagenet"):
    return kt.load_backbone(
        "bundled:efficientnet_lite0",
        weights=weights,
        input_shape=(side, side, 3),
    )


LOADERS = {"lite0": load_lite0, "mobilenet": load_mobilenet_v2}


def make_candidates(task, sources, side):
    """Return functions that build each candidate anew, by name.

    Args:
        task: Name of the task to rank for.
        sources: Pictures and labels of all tasks, by name.
        side: Of the pictures.
    """
    made = {}
    other = next(name for name in sources if name != task)
    pictures = Pictures(other, *sources[other])
    for name in LOADERS:
        made[name] = functools.partial(LOADERS[name], side)
        made[f"{name}, cut"] = functools.partial(cut, name, side)
        made[f"{name}, half random"] = functools.partial(damage, name, pictures)
        made[f"{name}, random"] = functools.partial(randomize, name, pictures)
    made["small, random"] = functools.partial(build_small, side, 2)
    for source in sources:
        if source != task:
            made[f"small, {source}"] = functools.partial(
                pretrain_small, Pictures(source, *sources[source])
            )
    return made


def source_accuracy(name):
    """Return what one knows of a candidate without looking at the task."""
    network, _, change = name.partition(", ")
    if network == "small":
        return PRETRAINED[change][1] if change != "random" else 0.0
    return IMAGENET[network] if change in ("", "cut") else 0.0


def cut(name, side):
    backbone = LOADERS[name](side)
    lower, _ = kt.split_model(backbone.model, after=HALVES[name])
    return kt.load_backbone(lower, preprocess=backbone.preprocess)


def randomize(name, pictures, kept=0):
    """Keep the weights of the lowest layer groups only, or of none."""
    side = pictures.x.shape[1]
    keras.utils.set_random_seed(1)
    backbone = LOADERS[name](side, weights=None)
    key = name, pictures.source, kept
    if key not in CALIBRATED:
        old = LOADERS[name](side).groups[:kept]
        for group, trained in zip(backbone.groups, old, strict=False):
            for variable, value in zip(
                group.variables, trained.variables, strict=True
            ):
                variable.assign(value)
        calibrate(backbone, pictures, kept)
        CALIBRATED[key] = backbone.model.get_weights()
    backbone.model.set_weights(CALIBRATED[key])
    return backbone


def damage(name, pictures):
    names = [group.name for group in LOADERS[name](97, weights=None).groups]
    return randomize(name, pictures, names.index(HALVES[name]) + 1)


def calibrate(backbone, pictures, kept):
    """Give BatchNorm the statistics of some pictures, in the other groups."""
    some = np.linspace(0, len(pictures.x) - 1, 64).astype(int)
    x = backbone.preprocess(pictures.x[some])
    # Each needs the outputs of those before it as they will be.
    for group in backbone.groups[kept:]:
        for layer in group.layers:
            if isinstance(layer, layers.BatchNormalization):
                below = keras.Model(backbone.model.input, layer.input)
                seen = np.asarray(below(x, training=False))
                layer.moving_mean.assign(seen.mean(axis=(0, 1, 2)))
                layer.moving_variance.assign(seen.var(axis=(0, 1, 2)))


def build_small(side, classes):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((side, side, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for number, filters in enumerate((32, 64, 96, 128, 160), 1):
        x = layers.Conv2D(
            filters,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            name=f"block{number}_conv",
        )(x)
        # Trainings are short.
        x = layers.BatchNormalization(momentum=0.9, name=f"block{number}_bn")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(classes, activation="softmax", name="old_head")(x)
    return keras.Model(inputs, outputs, name="small")


def pretrain_small(pictures):
    """Return a network trained on a task, as it was trained once before."""
    source, side = pictures.source, pictures.x.shape[1]
    classes = int(pictures.y.max()) + 1
    model = build_small(side, classes)
    if source not in PRETRAINED:
        order = np.random.default_rng(0).permutation(len(pictures.x))
        train, held_out = np.split(order, [len(order) * 8 // 10])
        model.compile(
            keras.optimizers.Adam(2e-3),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        model.fit(
            pictures.x[train], pictures.y[train], 32, epochs=25, verbose=0
        )
        _, accuracy = model.evaluate(
            pictures.x[held_out], pictures.y[held_out], verbose=0
        )
        PRETRAINED[source] = model.get_weights(), accuracy
        print(f"small, {source}: {accuracy:.1%} on its own task", flush=True)
    model.set_weights(PRETRAINED[source][0])
    return model
