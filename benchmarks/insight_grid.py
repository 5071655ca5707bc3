"""What training more or fewer layer groups reaches, and what is recommended.

    python benchmarks/insight_grid.py --data FOLDER

Tasks are clip art, emoji (as for `strategies.py`) and scikit-learn's digits,
with 5 or 20 pictures of each class, or 60 % of all (of digits, 60 a class).
One more lies near its source: emoji of the other style, for a network that was
fine-tuned on the same things in the first. It is trained once, and its weights
are kept beside the results.

The head trains for 12 epochs; from there, each choice of layer groups trains
for 18. Kept are the accuracies on validation and test pictures of the end and
of the mean of head and end, and how long it took. `kt.recommend` sees the same
pictures to train on and to validate, and gets what its choice reached.

The first table has test accuracies, mean and standard deviation over seeds. The
second compares, over all cells, with the choice that is best on average over
the seeds of each task and size, and cannot be known before. What the rule
behind the recommendation starts with was chosen when seeds 0 and 1 were
known: the others are in a row of their own. `"auto"` is the recommended choice
with the weights that `fine_tune` ends with: the best in validation of those of
the head, of the end, and of their mean. Results are added to `--results`,
and what is there is not run again.
"""

import argparse
import pathlib
import time
from typing import NamedTuple

import keras
import numpy as np
from sklearn.datasets import load_digits
from strategies import add_result, load_tasks, read_results

import keras_transfer as kt
from keras_transfer.recipes.training_data import choose_batch_size

BACKBONE = "bundled:efficientnet_lite0"
CHOICES = ("head", "top:2", "top:4", "top:8", "all")
RECOMMENDED, AUTO = "recommended", '"auto"'
NEAR = "emoji13, from the other style"
KNOWN_SEEDS = (0, 1)
SIZES = {"5 a class": 5, "20 a class": 20, "all": None}
HEAD_EPOCHS, EPOCHS, RATE = 12, 18, 3e-4
_LEAST_STEPS = 250
_MOST_DIGITS = 100  # of a class


class Task(NamedTuple):
    """Pictures by class and name, and the backbone's weights, if not usual."""

    pictures: dict
    weights: list | None = None


def main():
    arguments = read_arguments()
    path = arguments.results
    tasks = load_grid_tasks(arguments.data, arguments.side, path)
    done = read_results(path)
    for seed in arguments.seeds:
        for name in arguments.tasks or tasks:
            for size in SIZES:
                run_cell(path, done, name, tasks[name], size, seed)
                ask(path, done, name, tasks[name], size, seed)
    print(table(done), compare(done), sep="\n\n")


def load_grid_tasks(folder, side, results):
    """Return all tasks."""
    tasks = {}
    for name, styles in load_tasks(folder, side).items():
        tasks[name] = Task(styles[0])
        if len(styles) > 1:
            kept = pathlib.Path(results).with_suffix(f".source_{side}.npz")
            tasks[NEAR] = Task(styles[1], tune_source(styles[0], kept))
    digits = load_digits()
    by_class = {}
    for number, (image, label) in enumerate(
        zip(digits.images, digits.target, strict=True)
    ):
        pictures = by_class.setdefault(str(label), {})
        if len(pictures) < _MOST_DIGITS:
            pictures[f"{number:04}"] = enlarge(image, side)
    return {**tasks, "digits": Task(by_class)}


def tune_source(pictures, kept):
    """Return the weights of a backbone that was trained on some pictures."""
    if not kept.exists():
        keras.utils.set_random_seed(0)
        y, x = zip(
            *(
                (label, image)
                for label, of_class in enumerate(pictures.values())
                for image in of_class.values()
            ),
            strict=True,
        )
        backbone = load(x[0].shape)
        kt.fine_tune(
            kt.build_classifier(backbone, len(pictures)),
            (np.array(x, "float32"), np.array(y, "int32")),
            strategy=kt.strategies.lp_ft(HEAD_EPOCHS + EPOCHS, RATE),
            log_dir=False,
            verbose=0,
        )
        np.savez(kept, *backbone.model.get_weights())
    return list(np.load(kept).values())


def enlarge(digit, side):
    """Turn a digit of 8 x 8 pixels in [0, 16] into a picture."""
    grey = np.repeat(digit[..., None] * (255 / 16), 3, axis=-1)
    return np.array(keras.ops.image.resize(grey, (side, side)))


def split(pictures, size, seed):
    """Return arrays to train on, to validate and to test."""
    random = np.random.default_rng(seed)
    parts = [], [], []
    for label, of_class in enumerate(pictures.values()):
        names = random.permutation(sorted(of_class))
        few = SIZES[size]
        test = len(names) * 2 // 10
        first = min(few or len(names), len(names) * 6 // 10)
        second = min(few or len(names), len(names) * 2 // 10)
        ends = np.cumsum([test, first, second])
        for part, chosen in zip(parts, np.split(names, ends)[:3], strict=True):
            part += [(of_class[name], label) for name in chosen]
    test, train, validation = (
        tuple(map(np.array, zip(*part, strict=True))) for part in parts
    )
    return [
        (x.astype("float32"), y.astype("int32"))
        for x, y in (train, validation, test)
    ]


def count_epochs(examples):
    """Return epochs of the head and after it: longer for few examples."""
    steps = -(-examples // choose_batch_size(examples))
    whole = max(HEAD_EPOCHS + EPOCHS, -(-_LEAST_STEPS // steps))
    return whole - whole * 3 // 5, whole * 3 // 5


def run_cell(path, done, name, task, size, seed):
    """Train a head, and from there each choice that is not done."""
    missing = [c for c in CHOICES if (name, size, seed, c) not in done]
    if not missing:
        return
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    train, validation, test = split(task.pictures, size, seed)
    head_epochs, epochs = count_epochs(len(train[1]))
    model = build(task, train)
    options = dict(log_dir=False, seed=seed, verbose=0)
    start = time.perf_counter()
    kt.fine_tune(
        model,
        train,
        strategy=kt.strategies.extraction(head_epochs),
        **options,
    )
    head_seconds = time.perf_counter() - start
    head = model.get_weights()

    def measure(weights):
        model.set_weights(weights)
        return [
            float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())
            for x, y in (validation, test)
        ]

    for choice in missing:
        model.set_weights(head)
        start = time.perf_counter()
        if choice != "head":
            phase = kt.Phase(choice, epochs, RATE, schedule="warmup_cosine")
            kt.fine_tune(model, train, strategy=[phase], **options)
        seconds = time.perf_counter() - start
        end = model.get_weights()
        mean = [a + (b - a) / 2 for a, b in zip(head, end, strict=True)]
        found = {
            "head": measure(head),
            "mean": measure(mean),
            "end": measure(end),
            "seconds": [round(head_seconds, 1), round(seconds, 1)],
            "examples": [len(y) for _, y in (train, validation, test)],
        }
        done[name, size, seed, choice] = found
        add_result(path, [name, size, seed, choice, found])


def ask(path, done, name, task, size, seed):
    """Let the package recommend a choice."""
    key = name, size, seed, RECOMMENDED
    if key in done:
        return
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    train, validation, _ = split(task.pictures, size, seed)
    start = time.perf_counter()
    found = kt.recommend(
        build(task, train),
        train,
        validation,
        epochs=sum(count_epochs(len(train[1]))),
        seed=seed,
        verbose=False,
    )
    done[key] = {
        "train": found.train,
        "learning_rate": found.learning_rate,
        "distance": found.evidence.distance,
        "head": found.evidence.head_accuracy,
        "rows": [
            [row["train"], *(row["trial"] or (0, 0)), *row["expected"]]
            for row in found.rows
        ],
        "seconds": [round(time.perf_counter() - start, 1)],
    }
    add_result(path, [*key, done[key]])


def build(task, train):
    backbone = load(train[0].shape[1:])
    if task.weights is not None:
        backbone.model.set_weights(task.weights)
    return kt.build_classifier(backbone, len(task.pictures))


def load(shape):
    return kt.load_backbone(BACKBONE, input_shape=shape)


def collect(done):
    """Return `{(task, size): {seed: {choice: (accuracy, seconds)}}}`."""
    cells = {}
    for (task, size, seed, choice), found in done.items():
        seeds = cells.setdefault((task, size), {})
        if choice != RECOMMENDED:
            reached = found["end"][1], found["seconds"][1]
            seeds.setdefault(seed, {})[choice] = reached
    for (task, size), seeds in cells.items():
        for seed, reached in seeds.items():
            advice = done.get((task, size, seed, RECOMMENDED))
            if advice and advice["train"] in reached:
                reached[RECOMMENDED] = reached[advice["train"]]
                found = done[task, size, seed, advice["train"]]
                reached[AUTO] = end_as_auto(found), reached[RECOMMENDED][1]
    return cells


def end_as_auto(found):
    """Return what the weights reach that are best in validation, of three.

    Of equals the first, as in `fine_tune(strategy="auto")`.
    """
    best = max(("mean", "end", "head"), key=lambda which: found[which][0])
    return found[best][1]


def table(done):
    """Format mean and standard deviation over seeds of the test accuracy."""
    columns = (*CHOICES, RECOMMENDED, AUTO)
    lines = [["", "seeds", *columns], ["---"] * (len(columns) + 2)]
    for (task, size), seeds in collect(done).items():
        whole = [r for r in seeds.values() if len(r) == len(columns)]
        if whole:
            reached = 100 * np.array(
                [[r[c][0] for c in columns] for r in whole]
            )
            texts = [f"{c.mean():.1f} ± {c.std():.1f}" for c in reached.T]
            lines.append([f"{task}, {size}", f"{len(whole)}", *texts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def compare(done):
    """Format what each choice loses to the best, on average over all cells."""
    columns = (*CHOICES, RECOMMENDED, AUTO)
    lines = [["points below the best", *columns]]
    lines.append(["---"] * (len(columns) + 1))
    seconds = []
    for name, includes in (
        ("all seeds", lambda seed: True),
        ("seeds that the rule had not seen", lambda s: s not in KNOWN_SEEDS),
    ):
        lost = []
        for seeds in collect(done).values():
            whole = {s: r for s, r in seeds.items() if len(r) == len(columns)}
            rows = [r for s, r in whole.items() if includes(s)]
            if not rows:
                continue
            reached = 100 * np.array([[r[c] for c in columns] for r in rows])
            means = reached[..., 0].mean(axis=0)
            lost.append(means[: len(CHOICES)].max() - means)
            seconds.append(reached[..., 1].mean(axis=0) / 100)
        if lost:
            texts = [
                f"{c.mean():.1f} ± {c.std():.1f}" for c in np.transpose(lost)
            ]
            lines.append([f"{name}, ± between cells", *texts])
    if seconds:
        texts = [f"{mean:.0f}" for mean in np.mean(seconds, axis=0)]
        asking = [
            found["seconds"][0]
            for key, found in done.items()
            if key[-1] == RECOMMENDED
        ]
        texts[len(CHOICES)] += f", and {np.mean(asking):.0f} for the advice"
        lines.append(["seconds of training", *texts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--results", default="insight_grid.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--tasks", nargs="+")
    parser.add_argument("--side", type=int, default=97)
    return parser.parse_args()


if __name__ == "__main__":
    main()
