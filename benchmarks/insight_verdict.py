"""How often the verdict of a report is right about transfer.

    python benchmarks/insight_verdict.py --data FOLDER

The folder holds `clipart14` (as in `examples/data`), `emoji13/google` and
`emoji13/twitter`, each with a folder of pictures for each class. Targets are
clip art, Twitter's emoji and scikit-learn's digits 5 to 9, at 32 px, with 5 to
20 of each class to train on (at most half of a class), 120 or 150 examples for
validation, as users have them, and all others to know the truth.

Sources are a small network of four blocks that was trained on other classes
(emoji for clip art, the digits 0 to 4), or on more of the same kind (Google's
emoji, 250 other pictures of the digits 5 to 9): well; on 200 of the former
with permuted labels, or on as much noise with their labels, until it knew
them by heart; and well, but the target's pictures are inverted. And
EfficientNet-Lite0 from ImageNet, at 64 px. All train for 30 epochs, the whole
network (`"auto"`) and the head alone (`"extraction"`).

The truth of a case is what the trained model answers to examples that were
never looked at, against the better of two that know no source: the same
network from random weights with as many epochs, and a logistic regression on
the pixels. Transfer hurts, or helps, where both 2 points and two standard
errors of the paired difference are between them; else it is even. Where the
difference is less than one standard error from where it would be called
otherwise, the case is on the border, and its truth may be luck.

The report says that transfer hurts (certainly, or probably, or that a
regression on its own features does better), that it helps, or that it is not
clear. It is right where it says "hurts" of what hurts, and does not of what
does not: both with what `fine_tune(baselines="auto")` measures, and with
`"scratch"`. (For a head alone `"auto"` measures nothing, and the first is
`True`.) A last table is about the frozen features alone: what
`print(result.report.baselines)` ends with, against the truth of the same
logistic regression on them.

A result holds which examples each was right about, validation examples first,
and no verdict: truths and sentences are made when the tables are printed, by
the package as it is. The rule was chosen on seeds 0 and 1. Results are added
to `--results`, and what is there is not run again; ours are in
`benchmarks/results/verdict.jsonl`.
"""

import argparse
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
from keras_transfer.insight.baselines import REGRESSION, SCRATCH, Baselines
from keras_transfer.insight.model_baselines import model_baselines
from keras_transfer.insight.verdict import describe_transfer
from keras_transfer.recipes.find_baselines import add_scratch
from keras_transfer.recipes.training_data import as_dataset

LITE = "bundled:efficientnet_lite0"
GOOGLE, TWITTER = "emoji13/google", "emoji13/twitter"
EPOCHS = 30
POINTS, ERRORS = 0.02, 2
RIGHT, FALSE_ALARMS = 0.9, 0.1  # what is aimed at
PIXEL_RIVAL = "pixels, for the truth"
SEEDS = range(5)
CHOSEN_ON = (0, 1)  # seeds
TARGETS = {"digits": "digits", "clip art": "clipart14", "emoji": TWITTER}
SIDE, LARGE_SIDE = 32, 64  # of pictures; the latter for ImageNet
VALIDATION = {"digits": 150, "clip art": 120, "emoji": 120}
SAME_DIGITS = 250  # digits of the target's classes, for a source
OTHER_DIGITS = 400
BY_HEART = 200  # examples that have nothing to do with their labels
WRONG = ("permuted", "noise")
STRATEGIES = ("auto", "extraction")
WORDS = ("hurts", "even", "helps")
# The source, and what happens to the pictures of the target.
KINDS = {
    "same kind": ("same kind", "as it is"),
    "ImageNet": ("ImageNet", "as it is"),
    "related": ("well", "as it is"),
    "permuted labels": ("permuted", "as it is"),
    "noise": ("noise", "as it is"),
    "inverted": ("well", "inverted"),
}
# For each kind, how many of each class to train on.
GRID = {
    "digits": {
        "same kind": (5, 20),
        "related": (20,),
        "permuted labels": (10,),
        "noise": (10,),
        "inverted": (10,),
    },
    "clip art": {
        "related": (20,),
        "permuted labels": (20,),
        "inverted": (20,),
        "ImageNet": (10,),
    },
    "emoji": {"same kind": (5,), "permuted labels": (5,)},
}
CHANGES = {
    "as it is": lambda x: x,
    "inverted": lambda x: 255 - x,
}


def main():
    arguments = read_arguments()
    done = read_results(arguments.results)
    # Sources and trainings from scratch serve several cases of a seed.
    known = {seed: {} for seed in arguments.seeds}
    cases = [case for seed in known for case in list_cases(seed)]
    cases.sort(key=lambda case: case[0] == "ImageNet")  # The slow ones last.
    for case in cases:
        if case not in done:
            start = time.perf_counter()
            found = run_case(case, arguments.data, known[case[-1]])
            found["seconds"] = round(time.perf_counter() - start, 1)
            done[case] = found
            add_result(arguments.results, [*case, found])
    judged = {case: judge(found) for case, found in done.items()}
    print(table(judged, by_kind(judged)), "\n")
    print(table(judged, by_seeds(judged)), "\n")
    features = without_strategies(judged)
    print(table(features, by_kind(features), columns=("features",)), "\n")
    print(how_sure(judged), "\n")
    print(examples_needed(judged), "\n")
    print(wrong_cases(judged))


def list_cases(seed):
    """Return kind, task, strategy, examples a class and seed of each case."""
    return [
        (kind, task, strategy, size, seed)
        for task, kinds in GRID.items()
        for kind, sizes in kinds.items()
        for size in sizes
        for strategy in STRATEGIES
        # The large one: only what is worth the time.
        if kind != "ImageNet" or strategy == "extraction"
    ]


def run_case(case, folder, known):
    """Train; return which examples each was right about."""
    kind, task, strategy, size, seed = case
    source, change = KINDS[kind]
    side = LARGE_SIDE if source == "ImageNet" else SIDE
    keras.utils.clear_session()
    train, validation, test = (
        (CHANGES[change](x), y)
        for x, y in split(load_target(task, folder, side), task, size, seed)
    )
    asked = tuple(map(np.concatenate, zip(validation, test, strict=True)))
    backbone = load_source(source, task, side, folder, seed, known)
    model = kt.build_classifier(backbone, int(train[1].max()) + 1)
    probe = (source, task, change, size, seed)
    if probe not in known:
        # As `fine_tune` does before it trains; but of the test examples, too.
        known[probe] = model_baselines(
            model,
            as_dataset(train, shuffle=True, seed=seed, name="train"),
            as_dataset(asked, shuffle=False, seed=seed, name="asked"),
            seed=seed,
        )
    measured = known[probe]
    kt.fine_tune(
        model,
        train,
        validation,
        strategy=strategy,
        epochs=EPOCHS,
        log_dir=False,
        baselines=False,
        seed=seed,
        verbose=0,
    )
    target = (side, task, change, size, seed)
    if target not in known:
        known[target] = find_rivals(
            model, measured, train, validation, test, seed
        )
    right = {"model": answer(model, asked)} | measured.right | known[target]
    return {
        "examples": [len(y) for _, y in (train, validation, test)],
        "right": {name: pack(part) for name, part in right.items()},
    }


def find_rivals(model, measured, train, validation, test, seed):
    """Train what knows no source, and tell what it answers rightly.

    That is what `baselines="scratch"` trains, and a regression on the pixels,
    which is asked for the truth alone: its penalty is chosen on the
    validation examples.
    """
    kept = []

    def train_and_keep(untrained, *data, **options):
        kept.append(untrained)
        return kt.fine_tune(untrained, *data, **options)

    add_scratch(
        measured,
        train_and_keep,
        model,
        train,
        validation,
        epochs=EPOCHS,
        seed=seed,
    )
    parts = [(to_pixels(x), y) for x, y in (train, validation, test)]
    return {
        SCRATCH: np.concatenate(
            [answer(kept[0], part) for part in (validation, test)]
        ),
        PIXEL_RIVAL: regress(*parts),
    }


def answer(model, data):
    x, y = data
    # Not by `predict`, which takes longer to be traced than this.
    answers = [
        np.array(model(part, training=False)).argmax(axis=1)
        for part in np.array_split(x, 4)
    ]
    return np.concatenate(answers) == y


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
    return np.concatenate([best.predict(x) == y for x, y in (validation, test)])


def to_pixels(x):
    """Return means of 16 x 16 squares."""
    count, side = x.shape[:2]
    edge = side // 16
    x = x.reshape(count, 16, edge, 16, edge, 3).mean(axis=(2, 4))
    return x.reshape(count, -1)


def pack(right):
    """Write true and false, eight in two digits."""
    return np.packbits(np.asarray(right) > 0).tobytes().hex()


def unpack(text, count):
    bits = np.frombuffer(bytes.fromhex(text), np.uint8)
    return np.unpackbits(bits, count=count).astype("float64")


def judge(found):
    """Return the truth of a case, and what a report says of it."""
    _, few, others = found["examples"]
    right = {
        name: unpack(text, few + others)
        for name, text in found["right"].items()
    }
    rivals = {name: right[name][few:] for name in (SCRATCH, PIXEL_RIVAL)}
    known = {name: part[:few] for name, part in right.items()}
    del known[PIXEL_RIVAL]
    model = known.pop("model")
    every = Baselines(known, "validation", 0.0)
    without = {name: known[name] for name in known if name != SCRATCH}
    usual = Baselines(without, "validation", 0.0)
    truth = find_truth(right["model"][few:], rivals)
    said = {
        "auto": read_verdict(describe_transfer(model, usual)),
        "scratch": read_verdict(describe_transfer(model, every)),
    }
    judged = {name: {**truth, **words} for name, words in said.items()}
    judged["features"] = {
        **find_truth(right[REGRESSION][few:], rivals),
        **read_feature_verdict(usual),
    }
    return judged


def find_truth(model, rivals):
    """Compare with the better rival on the test examples."""
    best = max(rivals.values(), key=np.mean)
    gain = model - best
    error = gain.std() / np.sqrt(len(gain))
    mean, least = gain.mean(), max(POINTS, ERRORS * error)
    truth = ("helps" if mean > 0 else "hurts") if abs(mean) > least else "even"
    return {
        "truth": truth,
        "on the border": bool(abs(abs(mean) - least) < error),
        "true gain": float(mean),
        "deviation": float(gain.std()),
    }


def read_verdict(sentences):
    """Return what the sentences of a report say to their reader."""
    text = " ".join(sentences)
    said = [
        word
        for word, phrase in (
            ("hurts", "negative transfer."),
            ("hurts", "not the source that is wrong"),
            ("helps", "helps."),
            ("not clear", "whether transfer helps is not clear"),
        )
        if phrase in text
    ]
    assert len(said) == 1, text
    return {"says": said[0], "is sure": "probably" not in text, "text": text}


def read_feature_verdict(baselines):
    """Return what the sentence on the frozen features alone says."""
    text = baselines.verdict
    said = {"Negative": "hurts", "The": "helps"}.get(text.split()[0])
    return {"says": said or "not clear", "is sure": True, "text": text}


def load_source(source, task, side, folder, seed, known):
    """Return a backbone as its source left it."""
    if source == "ImageNet":
        return kt.load_backbone(LITE, input_shape=(side, side, 3))
    key = (find_pictures(source, task), source if source in WRONG else "", side)
    if key not in known:
        known[key] = pretrain(*key, folder, seed)
    keras.utils.set_random_seed(seed)
    network = build_network(side, known[key]["classes"])
    network.set_weights(known[key]["weights"])
    return kt.load_backbone(network)


def find_pictures(source, task):
    """Return the name of the pictures that a source is trained on."""
    if task != "digits":
        return GOOGLE
    return "same digits" if source == "same kind" else "other digits"


def pretrain(pictures, wrong, side, folder, seed):
    """Train the small network on a source until it knows it by heart."""
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    x, y = load_pictures(pictures, folder, side)
    classes = int(y.max()) + 1
    if wrong == "noise":
        x = random.uniform(0, 255, x.shape).astype("float32")
    if wrong:
        some = random.permutation(len(y))[:BY_HEART]
        x, y = x[some], random.permutation(y[some])
    network = build_network(side, classes)
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


def load_target(task, folder, side):
    return load_pictures(TARGETS[task], folder, side)


def load_pictures(name, folder, side):
    if name == "other digits":
        x, y = load_some_digits(range(5), side)
        return x[:OTHER_DIGITS], y[:OTHER_DIGITS]
    if name not in ("digits", "same digits"):
        return gather(folder / name, side)
    x, y = load_some_digits(range(5, 10), side)
    if name == "same digits":
        return x[:SAME_DIGITS], y[:SAME_DIGITS]
    return x[SAME_DIGITS:], y[SAME_DIGITS:]


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
    print(*row[:5], row[5]["seconds"], flush=True)
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def by_kind(judged):
    """Return which cases belong to each line of a table."""
    strategies = sorted({case[2] for case in judged})
    if len(strategies) > 1:
        strategies.append("both")
    return {
        (kind, strategy): [
            case
            for case in judged
            if kind in (case[0], "all") and strategy in (case[2], "both")
        ]
        for kind in (*KINDS, "all")
        for strategy in strategies
    }


def by_seeds(judged):
    """Return lines that tell whether the rule suits others than its own."""
    first = [case for case in judged if case[4] in CHOSEN_ON]
    others = [case for case in judged if case[4] not in CHOSEN_ON]
    clear = [
        case for case in judged if not judged[case]["scratch"]["on the border"]
    ]
    return {
        ("seeds on which the rule was chosen", "both"): first,
        ("other seeds", "both"): others,
        ("what is not on the border", "both"): clear,
    }


def table(judged, lines, columns=("auto", "scratch")):
    """Format counts, and the share of right verdicts over seeds, in per cent.

    Mean and standard deviation over seeds; misses of all that hurts, and
    false alarms of all that does not.
    """
    heads = ["source", "trained", *WORDS, "on the border"]
    aims = ["aimed at", *[""] * 5]
    for column in columns:
        heads += [f"{column}: right, %", "misses", "false alarms"]
        aims += [f"≥ {RIGHT:.0%}", "", f"≤ {FALSE_ALARMS:.0%}"]
    rows = [heads, ["---"] * len(heads)]
    for name, cases in lines.items():
        if cases:
            rows.append([*name, *score(judged, cases, columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in [*rows, aims])


def score(judged, cases, columns):
    first = [judged[case][columns[0]] for case in cases]
    cells = [str(sum(f["truth"] == word for f in first)) for word in WORDS]
    cells.append(str(sum(f["on the border"] for f in first)))
    for column in columns:
        by_seed = {}
        wrong = {True: [], False: []}
        for case in cases:
            found = judged[case][column]
            by_seed.setdefault(case[4], []).append(is_right(found))
            wrong[found["truth"] == "hurts"].append(not is_right(found))
        shares = [100 * np.mean(part) for part in by_seed.values()]
        cells.append(f"{np.mean(shares):.0f} ± {np.std(shares):.0f}")
        cells += [f"{sum(w)} of {len(w)}" for w in wrong.values()]
    return cells


def is_right(found):
    return (found["truth"] == "hurts") == (found["says"] == "hurts")


def how_sure(judged):
    """Tell how often warnings are right, by how sure they sound."""
    lines = []
    for column in ("auto", "scratch"):
        for sure, word in ((True, "certain"), (False, "probable")):
            found = [f[column] for f in judged.values()]
            found = [
                f
                for f in found
                if f["says"] == "hurts" and f["is sure"] == sure
            ]
            right = sum(map(is_right, found))
            lines.append(
                f"{column}: of {len(found)} warnings called {word}, {right} "
                "are right."
            )
    return "\n".join(lines)


def examples_needed(judged):
    """Tell how many validation examples would show what hurts.

    In nine of ten cases, at the odds of nine to one that a warning asks for:
    the true loss is as far from 0 as both take together.
    """
    found = [f["scratch"] for f in judged.values()]
    counts = [
        (2 * 1.28 * f["deviation"] / f["true gain"]) ** 2
        for f in found
        if f["truth"] == "hurts"
    ]
    shares = ", ".join(
        f"{share:.0%} of them {np.quantile(counts, share):.0f}"
        for share in (0.5, 0.75, 0.9)
    )
    return (
        f"To warn of {len(counts)} cases that hurt, each nine times in ten, "
        f"so many validation examples do: for {shares}."
    )


def without_strategies(judged):
    """Keep one case where several differ in the training alone."""
    kept = {}
    for (kind, task, _, *others), found in judged.items():
        kept.setdefault((kind, task, "–", *others), found)
    return kept


def wrong_cases(judged):
    """List what was wrong: the true gain, and what is said of the measured."""
    return "\n".join(
        f"{column}: {case}: {found['truth']} ({found['true gain']:+.3f}"
        f"{', on the border' * found['on the border']}); "
        f"{found['text'].split('. ')[1]}: {found['says']}"
        f"{', probably' * (not found['is sure'])}"
        for column in ("auto", "scratch")
        for case, found in sorted((c, f[column]) for c, f in judged.items())
        if not is_right(found)
    )


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--results", default="verdict.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
