"""What each strategy reaches on small real data, beside two baselines.

    python benchmarks/strategies.py --data FOLDER

The folder holds `clipart14` (as in `examples/data`), `emoji13/google` and
`emoji13/twitter`, each with a folder of pictures for each class; emoji of the
same name show the same thing in two styles. Tasks are clip art, emoji, and
emoji of the other style, all with 60 % of the pictures to train on (20 % for
validation) and with 5 of each class (5 for validation). What is left, and is
never looked at in training, gives the accuracy: mean and standard deviation
over seeds. All have the 30 epochs of the guide, and get arrays.

Baselines: a logistic regression on the frozen features, its C chosen on the
validation data; and the recipe of Keras's transfer-learning guide, in plain
Keras: 20 epochs for the head, then 10 for everything. Once with the batches
of 32 that `fit` makes, and once with the smaller ones of `fine_tune`.
Results are added to `--results`, and what is there is not run again; ours are
in `benchmarks/results/strategies.jsonl`.
"""

import argparse
import json
import os
import pathlib

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression

import keras_transfer as kt
from keras_transfer.data.image_decoding import read_image
from keras_transfer.recipes.training_data import choose_batch_size

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples/data"
BACKBONE = "bundled:efficientnet_lite0"
METHODS = (
    "guide",
    "guide, smaller batches",
    "logistic regression",
    "extraction",
    "fine_tuning",
    "lp_ft",
    "gradual",
    "surgical",
    "scratch",
    "auto",
)
SIZES = ("5 a class", "60 %")
EPOCHS = 30


def main():
    arguments = read_arguments()
    done = read_results(arguments.results)
    for seed in arguments.seeds:
        for task, styles in load_tasks(arguments.data, arguments.side).items():
            for size in SIZES:
                data = split(styles, size, seed)
                for method in arguments.methods:
                    key = (task, size, seed, method)
                    if key not in done:
                        done[key] = run(method, data, seed)
                        add_result(arguments.results, [*key, done[key]])
    print(table(done))


def run(method, data, seed):
    """Train; return the accuracy on each style's test pictures."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    train, validation, tests, classes = data
    if method.startswith("guide"):
        size = 32 if method == "guide" else choose_batch_size(len(train[1]))
        model = follow_the_guide(train, validation, classes, size)
    elif method == "logistic regression":
        return regress(train, validation, tests)
    else:
        model = kt.build_classifier(load(train), classes)
        kt.fine_tune(
            model,
            train,
            validation,
            strategy=method,
            epochs=EPOCHS,
            log_dir=False,
            seed=seed,
            verbose=0,
        )
    return [
        float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())
        for x, y in tests
    ]


def follow_the_guide(train, validation, classes, batch_size):
    """https://keras.io/guides/transfer_learning, step by step."""
    backbone = load(train)
    base = backbone.model
    base.trainable = False
    inputs = keras.Input(backbone.input_shape)
    x = backbone.preprocess(inputs)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    for is_trainable, rate, epochs in ((False, 1e-3, 20), (True, 1e-5, 10)):
        base.trainable = is_trainable
        model.compile(
            keras.optimizers.Adam(rate), "sparse_categorical_crossentropy"
        )
        model.fit(
            *train,
            batch_size,
            epochs,
            validation_data=validation,
            verbose=0,
        )
    return model


def regress(train, validation, tests):
    backbone = load(train)
    features = keras.Sequential(
        [
            keras.Input(backbone.input_shape),
            backbone.preprocess,
            backbone.model,
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    (x, y), (x_validation, y_validation), *others = (
        (features.predict(images, verbose=0), labels)
        for images, labels in (train, validation, *tests)
    )
    fitted = [
        LogisticRegression(C=c, max_iter=2000).fit(x, y)
        for c in np.logspace(-3, 2, 6)
    ]
    best = max(fitted, key=lambda m: m.score(x_validation, y_validation))
    return [float(best.score(*other)) for other in others]


def load(train):
    return kt.load_backbone(BACKBONE, input_shape=train[0].shape[1:])


def load_tasks(folder, side):
    """Return for each task its pictures, by style, class and name."""
    styles = {
        "clipart14": ["clipart14"],
        "emoji13": ["emoji13/google", "emoji13/twitter"],
    }
    return {
        task: [read_pictures(folder / place, side) for place in places]
        for task, places in styles.items()
        if all((folder / place).is_dir() for place in places)
    }


def read_pictures(folder, side):
    """Return `{class: {file name: pixels}}`."""
    return {
        place.name: {
            path.name: read_image(path, (side, side))
            for path in sorted(place.iterdir())
        }
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }


def split(styles, size, seed):
    """Return arrays to train on, to validate and to test, and the classes."""
    random = np.random.default_rng(seed)
    parts = {"train": [], "validation": [], "test": []}
    for label, names in enumerate(styles[0].values()):
        names = random.permutation(sorted(names))
        few = size == "5 a class"
        first, second = (5, 5) if few else (len(names) * 6 // 10, None)
        if not few:
            second = len(names) * 2 // 10
        parts["train"] += [(label, n) for n in names[:first]]
        parts["validation"] += [
            (label, n) for n in names[first : first + second]
        ]
        parts["test"] += [(label, n) for n in names[first + second :]]

    def gather(style, part):
        classes = list(style.values())
        x = np.stack([classes[label][name] for label, name in parts[part]])
        y = np.array([label for label, _ in parts[part]])
        return x.astype("float32"), y

    return (
        gather(styles[0], "train"),
        gather(styles[0], "validation"),
        [gather(style, "test") for style in styles],
        len(styles[0]),
    )


def read_results(path):
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    return {tuple(row[:4]): row[4] for row in rows}


def add_result(path, row):
    print(*row, flush=True)
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def table(done):
    """Format mean and standard deviation over seeds, in per cent.

    Where something is yet to be run there is a dash.
    """
    columns = {}
    for (task, size, _, method), found in done.items():
        for n, accuracy in enumerate(found):
            name = f"{task}{' in another style' * n}, {size}"
            columns.setdefault(name, {}).setdefault(method, []).append(accuracy)
    methods = [m for m in METHODS if any(m in c for c in columns.values())]
    lines = [["", *columns, "mean"]]
    for method in methods:
        cells = [np.array(c.get(method, [])) for c in columns.values()]
        texts = [
            f"{100 * c.mean():.1f} ± {100 * c.std():.1f}" if c.size else "–"
            for c in cells
        ]
        mean = "–"
        if all(c.size for c in cells):
            mean = f"{100 * np.mean([c.mean() for c in cells]):.1f}"
        lines.append([method, *texts, mean])
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=EXAMPLES)
    parser.add_argument("--results", default="strategies.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--side", type=int, default=97)
    return parser.parse_args()


if __name__ == "__main__":
    main()
