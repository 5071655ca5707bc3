"""Permuted Fashion-MNIST: one small network, one head, a task after another.

For `forgetting.py`. Each task has the same pictures and labels, with the pixels
in another order that is the same for all pictures. The network has two hidden
layers of 256; there is one head, and nothing tells which task a picture is of
(domain-incremental). Everything is plain Keras: `compile` and `fit`.
"""

import gzip
import pathlib

import keras
import numpy as np

import keras_transfer as kt

FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")
TASKS = 3
_TRAIN, _EPOCHS, _BATCH_SIZE, _RATE = 20_000, 4, 128, 1e-3
_KEPT = 200  # examples of each earlier task, for rehearsal
_FISHER_EXAMPLES = 500
_HEADERS = {"images": 16, "labels": 8}


def load_fashion(folder=FOLDER):
    """Return `(train, test)`, arrays `(x, y)`, from the files of MNIST's kind.

    On Debian they come with `apt install dataset-fashion-mnist`.
    """
    return [
        (
            _read(folder, part, "images").reshape(-1, 784).astype("float32")
            / 255,
            _read(folder, part, "labels").astype("int32"),
        )
        for part in ("train", "t10k")
    ]


def _read(folder, part, kind):
    rank = 3 if kind == "images" else 1
    path = folder / f"{part}-{kind}-idx{rank}-ubyte.gz"
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), "uint8", offset=_HEADERS[kind])


def run(method, seed, fashion):
    """Learn all tasks; return the accuracy on each of them at the end."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    rows = random.permutation(len(fashion[0][1]))[:_TRAIN]
    orders = [random.permutation(784) for _ in range(TASKS)]
    train, test = (fashion[0][0][rows], fashion[0][1][rows]), fashion[1]
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(256, activation="relu"),
            layers.Dense(256, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    method(model, [(train[0][:, order], train[1]) for order in orders], seed)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return [
        float(
            model.evaluate(test[0][:, order], test[1], 500, verbose=0)[1],
        )
        for order in orders
    ]


def learn(model, data):
    model.compile(
        keras.optimizers.Adam(_RATE), "sparse_categorical_crossentropy"
    )
    if isinstance(data, tuple):
        model.fit(*data, batch_size=_BATCH_SIZE, epochs=_EPOCHS, verbose=0)
    else:
        model.fit(data, epochs=_EPOCHS, verbose=0)


def go_on(model, tasks, seed):
    for task in tasks:
        learn(model, task)


def learn_together(model, tasks, seed):
    """Learn all at once: what there is to reach."""
    x, y = (np.concatenate(parts) for parts in zip(*tasks, strict=True))
    learn(model, (x, y))


def consolidate(strength, model, tasks, seed):
    """EWC, online: one anchor, moved after each task."""
    ewc = None
    for task in tasks:
        learn(model, task)
        if ewc is None:
            ewc = kt.EWC(
                model,
                task,
                strength,
                examples=_FISHER_EXAMPLES,
                labels="sampled",
                seed=seed,
            )
        else:
            ewc.update(task)
    ewc.remove()


def pull_back(strength, model, tasks, seed):
    """L2-SP: towards the weights after the task before."""
    for task in tasks:
        anchor = None
        if task is not tasks[0]:
            anchor = kt.L2SP(model, strength, head_strength=None)
        learn(model, task)
        if anchor:
            anchor.remove()


def rehearse(model, tasks, seed):
    """Half of each batch is of earlier tasks."""
    kept = []
    for task in tasks:
        data = task
        if kept:
            old = tuple(
                np.concatenate(parts) for parts in zip(*kept, strict=True)
            )
            # As many steps as without.
            size = 2 * _BATCH_SIZE
            data = kt.rehearse(task, old, 0.5, batch_size=size, seed=seed)
        learn(model, data)
        kept.append(tuple(part[:_KEPT] for part in task))


# Methods that have a strength, and those to choose from.
STRENGTHS = {
    "EWC, online": (consolidate, (10.0, 100.0, 1e3, 1e4, 1e5)),
    "L2-SP": (pull_back, (1e-3, 1e-2, 0.1, 1.0)),
}
FIXED = {
    "plain": go_on,
    "rehearsal 50 %, 200 of each": rehearse,
    "all together": learn_together,
}
