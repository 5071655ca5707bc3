"""How often the verdict of a report is right about transfer.

    python benchmarks/insight_verdict.py --data FOLDER

The folder holds `clipart14` (as in `examples/data`) and `emoji13/google`, each
with a folder of pictures for each class. Targets are clip art, at 48 px, and
scikit-learn's digits 5 to 9, at 32 px, with 10 or 40 of each class to train
on (of clip art 10, and then 20, but at most half of a class), 120 or 150
examples for validation, as users have them, and all others to know the truth.

Sources are a small network of four blocks that was trained on emoji or on the
digits 0 to 4: well; on the same pictures with permuted labels, or on noise
with random ones, until it knew them by heart; well, but the target's pictures
are inverted, or in [0, 1]; and not at all. And EfficientNet-Lite0 from
ImageNet, at 64 px, 10 of each class. All train for 30 epochs, the whole
network (`"auto"`) and the head alone (`"extraction"`).

The truth of a case is what the trained model answers to examples that were
never looked at, against the better of two that know no source: the same
network from random weights with as many epochs, and a logistic regression on
the pixels. Transfer hurts, or helps, where both 2 points and two standard
errors of the paired difference are between them; else it is even. The report
says that it hurts ("negative transfer", certain or probable, or worse than a
regression on its own features), that it helps, or that it is not clear. It is
right where it says "hurts" of what hurts, and does not of what does not: both
with what `fine_tune(baselines="auto")` measures, and with `"scratch"`. (For a
head alone `"auto"` measures nothing, and the first is `True`.) A second table
is about the frozen features alone: what `print(result.report.baselines)` ends
with, against the truth of a logistic regression on them.

Results are added to `--results`, and what is there is not run again; ours are
in `benchmarks/results/verdict.jsonl`.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import time

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from strategies import read_pictures
from threadpoolctl import threadpool_limits

import keras_transfer as kt
from keras_transfer.recipes.find_baselines import add_scratch

LITE = "bundled:efficientnet_lite0"
EPOCHS = 30
POINTS, ERRORS = 0.02, 2
RIGHT, FALSE_ALARMS = 0.9, 0.1  # what is aimed at
SIZES = {"digits": (10, 40), "clip art": (10, 20)}
SIDES = {"digits": 32, "clip art": 48}
VALIDATION = {"digits": 150, "clip art": 120}
SOURCE = 400  # examples
STRATEGIES = ("auto", "extraction")
WORDS = ("hurts", "even", "helps")
# The source, and what happens to the pictures of the target.
KINDS = {
    "related": ("well", "as it is"),
    "permuted labels": ("permuted", "as it is"),
    "noise": ("noise", "as it is"),
    "inverted": ("well", "inverted"),
    "in [0, 1]": ("well", "in [0, 1]"),
    "random weights": ("random", "as it is"),
    "ImageNet": ("ImageNet", "as it is"),
}
CHANGES = {
    "as it is": lambda x: x,
    "inverted": lambda x: 255 - x,
    "in [0, 1]": lambda x: x / 255,
}


def main():
    arguments = read_arguments()
    done = read_results(arguments.results)
    for seed in arguments.seeds:
        missing = [c for c in list_cases(seed) if tuple(c) not in done]
        known = {}  # Sources and trainings from scratch serve several cases.
        for case in missing:
            start = time.perf_counter()
            found = run_case(case, arguments.data, known)
            found["seconds"] = round(time.perf_counter() - start, 1)
            done[tuple(case)] = found
            add_result(arguments.results, [*case, found])
    print(table(done, ("auto", "scratch"), (*STRATEGIES, "both")), "\n")
    print(table(without_strategies(done), ("features",), ("–",)), "\n")
    print(wrong_cases(done))


def list_cases(seed):
    """Return kind, task, strategy, examples a class and seed of each case."""
    cases = []
    for task, sizes in SIZES.items():
        for size in sizes:
            for kind in KINDS:
                for strategy in STRATEGIES:
                    cases.append((kind, task, strategy, size, seed))
    return [case for case in cases if is_scored(*case[:4])]


def is_scored(kind, task, strategy, size):
    if kind == "ImageNet":  # the large one: only what is worth the time
        usual = "extraction" if task == "digits" else "auto"
        return size == 10 and strategy == usual
    return kind != "in [0, 1]" or task == "digits"


def run_case(case, folder, known):
    """Train; return the truth, and what the report says."""
    kind, task, strategy, size, seed = case
    source, change = KINDS[kind]
    side = 64 if source == "ImageNet" else SIDES[task]
    keras.utils.clear_session()
    train, validation, test = (
        (CHANGES[change](x), y)
        for x, y in split(load_target(task, folder, side), task, size, seed)
    )
    backbone = load_source(source, task, side, folder, seed, known)
    probe = (source, task, change, size, seed)
    if probe not in known:
        parts = [(embed(backbone, x), y) for x, y in (train, validation, test)]
        known[probe] = regress(*parts)
    model = kt.build_classifier(backbone, int(train[1].max()) + 1)
    result = kt.fine_tune(
        model,
        train,
        validation,
        strategy=strategy,
        epochs=EPOCHS,
        log_dir=False,
        baselines="auto" if strategy == "auto" else True,
        seed=seed,
        verbose=0,
    )
    target = (side, task, change, size, seed)
    if target not in known:
        known[target] = find_rivals(
            model, result, train, validation, test, seed
        )
    scratch, rivals = known[target]
    reports = {"auto": result.report}
    measured = result.report.baselines
    measured = dataclasses.replace(
        measured, right={**measured.right, **scratch}
    )
    reports["scratch"] = dataclasses.replace(result.report, baselines=measured)
    said = {name: read_verdict(report) for name, report in reports.items()}
    said["features"] = read_feature_verdict(result.report.baselines)
    return {
        **find_truth(answer(model, test), rivals),
        "features": find_truth(known[probe], rivals),
        "says": said,
        "gain": {name: measure_gain(r) for name, r in reports.items()},
        "validation": {
            "model": round(result.report.accuracy, 4),
            **{r["baseline"]: round(r["accuracy"], 4) for r in measured.rows},
        },
        "examples": [len(y) for _, y in (train, validation, test)],
    }


def find_rivals(model, result, train, validation, test, seed):
    """Train what knows no source.

    Return what `baselines="scratch"` adds, and for each whether it answers
    the test examples rightly.
    """
    kept = []

    def train_and_keep(untrained, *data, **options):
        kept.append(untrained)
        return kt.fine_tune(untrained, *data, **options)

    before = result.report.baselines
    after = add_scratch(
        before,
        train_and_keep,
        model,
        train,
        validation,
        epochs=EPOCHS,
        seed=seed,
    )
    added = {n: r for n, r in after.right.items() if n not in before.right}
    return added, {
        "scratch": answer(kept[0], test),
        "pixels": regress(
            *((to_pixels(x), y) for x, y in (train, validation, test))
        ),
    }


def answer(model, data):
    x, y = data
    return model.predict(x, 128, verbose=0).argmax(axis=1) == y


def embed(backbone, x):
    """Return the features of a frozen backbone."""
    network = keras.Sequential(
        [keras.Input(backbone.input_shape), backbone.preprocess, backbone.model]
    )
    features = network.predict(x, 128, verbose=0)
    return features.mean(axis=(1, 2)) if features.ndim == 4 else features


@threadpool_limits.wrap(limits=1)
def regress(train, validation, test):
    """Answer linearly, the penalty chosen on the validation data."""
    fitted = [
        make_pipeline(
            StandardScaler(), LogisticRegression(C=c, max_iter=2000)
        ).fit(*train)
        for c in np.logspace(-4, 0, 5)
    ]
    best = max(fitted, key=lambda m: m.score(*validation))
    return best.predict(test[0]) == test[1]


def to_pixels(x):
    """Return means of 16 x 16 squares."""
    count, side = x.shape[:2]
    edge = side // 16
    x = x.reshape(count, 16, edge, 16, edge, 3).mean(axis=(2, 4))
    return x.reshape(count, -1)


def find_truth(model, rivals):
    """Compare with the better rival on the test examples."""
    accuracy = {name: float(right.mean()) for name, right in rivals.items()}
    best = max(accuracy, key=accuracy.get)
    gain = 1.0 * model - rivals[best]
    error = gain.std() / np.sqrt(len(gain))
    mean = gain.mean()
    is_clear = abs(mean) > max(POINTS, ERRORS * error)
    truth = ("helps" if mean > 0 else "hurts") if is_clear else "even"
    return {
        "truth": truth,
        "test": {"model": round(float(model.mean()), 4)}
        | {name: round(share, 4) for name, share in accuracy.items()},
        "true gain": [round(float(mean), 4), round(float(error), 4)],
    }


def read_verdict(report):
    """Return what the sentences of a report say to their reader."""
    said = [
        word
        for word, phrase in (
            ("hurts", "negative transfer."),
            ("hurts", "not the source that is wrong"),
            ("helps", "So transfer helps."),
            ("not clear", "whether transfer helps is not clear"),
        )
        if phrase in report.verdict
    ]
    assert len(said) == 1, report.verdict
    return said[0]


def read_feature_verdict(baselines):
    """Return what the sentence on the frozen features alone says."""
    if baselines.verdict.startswith("Negative transfer"):
        return "hurts"
    helps = baselines.verdict.startswith("The source helps")
    return "helps" if helps else "not clear"


def measure_gain(report):
    """Return the gain that the verdict is about, its interval, over what."""
    right = {**report.baselines.right, "model": 1.0 * report.right}
    both = dataclasses.replace(report.baselines, right=right)
    other = report.baselines.best_without_source
    return [*(round(g, 4) for g in both.gain("model", other)), other]


def load_source(source, task, side, folder, seed, known):
    """Return a backbone as its source left it."""
    if source == "ImageNet":
        return kt.load_backbone(LITE, input_shape=(side, side, 3))
    key = (source, task)
    if key not in known:
        known[key] = pretrain(source, task, side, folder, seed)
    keras.utils.set_random_seed(seed)
    network = build_network(side, known[key]["classes"])
    network.set_weights(known[key]["weights"])
    return kt.load_backbone(network)


def pretrain(source, task, side, folder, seed):
    """Train the small network on a source until it knows it by heart."""
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    x, y = load_related(task, folder, side)
    classes = int(y.max()) + 1
    if source == "noise":
        x = random.uniform(0, 255, x.shape).astype("float32")
    if source in ("noise", "permuted"):
        y = random.permutation(y)
    network = build_network(side, classes)
    if source != "random":
        network.compile(
            "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        network.fit(x, y, epochs=200, callbacks=[UntilKnown()], verbose=0)
    return {"classes": classes, "weights": network.get_weights()}


class UntilKnown(keras.callbacks.Callback):
    """Ends a training when nearly all of its examples are known."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = logs["accuracy"] >= 0.99


def build_network(side, classes):
    x = inputs = keras.Input((side, side, 3))
    x = keras.layers.Rescaling(1 / 255)(x)
    for number, width in enumerate((16, 32, 64, 128), start=1):
        name = f"block{number}"
        x = keras.layers.Conv2D(
            width, 3, padding="same", use_bias=False, name=f"{name}_conv"
        )(x)
        # Trainings are short: with the usual 0.99, statistics never arrive.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        if number < 4:
            x = keras.layers.MaxPooling2D(name=f"{name}_pool")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(classes, activation="softmax")(x)
    return keras.Model(inputs, x, name="small")


def load_related(task, folder, side):
    """Return the pictures that sources of a task are trained on."""
    if task == "digits":
        x, y = load_some_digits(range(5), side)
        return x[:SOURCE], y[:SOURCE]
    return gather(folder / "emoji13/google", side)


def load_target(task, folder, side):
    if task == "digits":
        return load_some_digits(range(5, 10), side)
    return gather(folder / "clipart14", side)


def load_some_digits(classes, side):
    """Return digits of 8 x 8 pixels in [0, 16] as pictures."""
    digits = load_digits()
    some = np.isin(digits.target, classes)
    grey = digits.images[some, ..., None] * (255 / 16)
    x = keras.ops.image.resize(np.repeat(grey, 3, axis=-1), (side, side))
    return np.array(x, "float32"), digits.target[some] - classes[0]


@functools.cache
def gather(folder, side):
    pictures = [list(p.values()) for p in read_pictures(folder, side).values()]
    y = np.repeat(np.arange(len(pictures)), [len(c) for c in pictures])
    return np.concatenate(pictures).astype("float32"), y


def split(data, task, size, seed):
    """Return arrays to train on, to validate and to test."""
    x, y = data
    order = np.random.default_rng(seed).permutation(len(y))
    train = []
    for label in range(y.max() + 1):
        of_class = order[y[order] == label]
        train += [*of_class[: min(size, len(of_class) // 2)]]
    rest = order[~np.isin(order, train)]
    few = VALIDATION[task]
    return [(x[rows], y[rows]) for rows in (train, rest[:few], rest[few:])]


def read_results(path):
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    return {tuple(row[:5]): row[5] for row in rows}


def add_result(path, row):
    print(*row, flush=True)
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def table(done, columns, strategies):
    """Format counts, and the share of right verdicts over seeds, in per cent.

    Mean and standard deviation over seeds; misses of all that hurts, and
    false alarms of all that does not.
    """
    lines = [["source", "trained", *WORDS]]
    aims = ["aimed at", "", "", "", ""]
    for column in columns:
        lines[0] += [f"{column}: right, %", "misses", "false alarms"]
        aims += [f"≥ {RIGHT:.0%}", "", f"≤ {FALSE_ALARMS:.0%}"]
    lines.append(["---"] * len(aims))
    for kind in (*KINDS, "all"):
        for strategy in strategies:
            rows = {
                case: found
                for case, found in done.items()
                if kind in (case[0], "all") and strategy in (case[2], "both")
            }
            if rows:
                lines.append([kind, strategy, *score(rows, columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, aims])


def score(rows, columns):
    truths = [find_word(found, columns[0]) for found in rows.values()]
    cells = [str(truths.count(word)) for word in WORDS]
    for column in columns:
        by_seed = {}
        wrong = {"hurts": [], "else": []}
        for case, found in rows.items():
            right = is_right(found, column)
            by_seed.setdefault(case[4], []).append(right)
            hurts = find_word(found, column) == "hurts"
            wrong["hurts" if hurts else "else"].append(not right)
        shares = [100 * np.mean(part) for part in by_seed.values()]
        cells.append(f"{np.mean(shares):.0f} ± {np.std(shares):.0f}")
        cells += [f"{sum(w)} of {len(w)}" for w in wrong.values()]
    return cells


def find_word(found, column):
    """Return the truth that a verdict is about."""
    return (found["features"] if column == "features" else found)["truth"]


def is_right(found, column):
    hurts = find_word(found, column) == "hurts"
    return hurts == (found["says"][column] == "hurts")


def without_strategies(done):
    """Keep one case where several differ in the training alone."""
    kept = {}
    for (kind, task, _, *others), found in done.items():
        kept.setdefault((kind, task, "–", *others), found)
    return kept


def wrong_cases(done):
    """List what was wrong, with the gain that is true and the measured one."""
    lines = []
    for case, found in done.items():
        for column in ("auto", "scratch"):
            if not is_right(found, column):
                truth, said = found["truth"], found["says"][column]
                gain, low, high, other = found["gain"][column]
                lines.append(
                    f"{column}: {case}: {truth} "
                    f"({found['true gain'][0]:+.3f}), says {said} "
                    f"({gain:+.3f}, {low:+.3f} to {high:+.3f} over {other})"
                )
    return "\n".join(sorted(lines))


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--results", default="verdict.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    return parser.parse_args()


if __name__ == "__main__":
    main()
