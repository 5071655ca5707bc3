"""Which methods keep an old task while a new one is learned.

    python benchmarks/forgetting.py --data FOLDER --figure forgetting.png

The folder holds `clipart14`, `emoji13/google` and `emoji13/twitter`, as for
`strategies.py`. The network is EfficientNet-Lite0 at 65 pixels, but for D.

- A: it has learned emoji (of Google), and learns clip art.
- B: it has ImageNet's own head, and learns clip art. No pictures of ImageNet
  are at hand: old data are the emoji of both styles about which that head is
  sure (above 0.3), with its own answers as labels.
- C: it learns emoji of Google, and is tested on them and on the same emoji as
  Twitter draws them.
- D: three tasks of permuted Fashion-MNIST (`forgetting_permuted.py`).

In A and B half of the pictures are trained on, and half tested; in C 50 % are
trained on, 20 % choose alpha, and 30 % are tested. Emoji are split by what they
show. In A and B all methods begin from the same head of the new task, which
has been trained on frozen features for 20 epochs; then all of the network
trains for 6, at a rate that rises to 3e-4 and falls to 0. A seed is a split and
a training.

Of the methods that have a strength, some are tried on seeds of their own, which
are not in the tables, and one is taken for all other seeds. In A and B it is,
of those that forget at most half of what plain training does, the best on the
new task; in C, where rates are tried, the best on what is validated; in D the
best on average over the tasks. Results are added to `--results`, and what is
there is not run again; ours are in `benchmarks/results/forgetting.jsonl`.
"""

import argparse
import functools
import pathlib

import forgetting_methods
import forgetting_permuted
import keras
import numpy as np
from forgetting_cases import (
    NEW,
    OLD,
    OTHER_STYLE,
    RATE,
    accuracy,
    add_task,
    after_head,
    answer,
    load,
    load_imagenet,
    split,
    train,
    train_head,
)
from forgetting_tables import draw, list_tables
from strategies import EXAMPLES, add_result, read_pictures, read_results

import keras_transfer as kt

TUNING_SEEDS = dict.fromkeys("ABC", (100, 101, 102)) | {"D": (100,)}
MOST_FORGOTTEN = 0.5  # of what plain training forgets
EMOJI_EPOCHS, SHIFT_EPOCHS = 8, 18  # in A and in C
SHIFTS = dict.fromkeys(("plain", "LP-FT"), (1e-4, 3e-4, 1e-3))  # rates
BETWEEN = ", alpha 0.5", ", alpha chosen"


def main():
    arguments = read_arguments()
    done = read_results(arguments.results)

    def add(key, value):
        done[key] = value
        add_result(arguments.results, [*key, value])

    pictures = {
        place: read_pictures(arguments.data / place, arguments.side)
        for place in (NEW, OLD, OTHER_STYLE)
    }
    fashion = None
    if "D" in arguments.settings:
        fashion = forgetting_permuted.load_fashion()
    for setting in arguments.settings:
        runs = [("tuning", seed) for seed in TUNING_SEEDS[setting]]
        runs += [("test", seed) for seed in arguments.seeds]
        for kind, seed in runs:
            missing = {
                name: method
                for name, method in list_methods(setting, kind, done).items()
                if (setting, kind, seed, name) not in done
            }
            if setting == "D":
                for name, method in missing.items():
                    reached = forgetting_permuted.run(method, seed, fashion)
                    add((setting, kind, seed, name), reached)
            elif missing and setting == "C":
                for name, reached in shift(pictures, seed, missing):
                    if name in missing:
                        add((setting, kind, seed, name), reached)
            elif missing:
                case = MAKE_CASE[setting](pictures, seed)
                for name, method in missing.items():
                    case.reset()
                    add((setting, kind, seed, name), method(case))
    print(list_tables(done))
    if arguments.figure:
        draw(done).savefig(arguments.figure)


def list_methods(setting, kind, done):
    """Return methods by name: those to choose from, or those to compare."""
    if setting == "C":
        return list_rates(kind, done)
    of = forgetting_permuted if setting == "D" else forgetting_methods
    tuned = {}
    for name, (method, strengths) in of.STRENGTHS.items():
        of_name = {f"{name} {strength:g}": strength for strength in strengths}
        if kind == "test":
            best = choose(setting, of_name, done)
            of_name = {best: of_name[best]}
        for its_name, strength in of_name.items():
            tuned[its_name] = functools.partial(method, strength)
    if kind == "tuning":
        beside = of.FIXED.keys() & {"plain", "frozen"}
        return {name: of.FIXED[name] for name in sorted(beside)} | tuned
    return of.FIXED | tuned


def list_rates(kind, done):
    """Return, for names in C, where to start and the rate."""
    names = {"frozen (LP)": ("LP-FT", 0.0)}
    for start, rates in SHIFTS.items():
        of_name = {f"{start} {rate:g}": (start, rate) for rate in rates}
        if kind == "test":
            best = choose("C", of_name, done)
            of_name = dict.fromkeys(
                [best, *(best + between for between in BETWEEN)], of_name[best]
            )
        names |= of_name
    return names


def choose(setting, names, done):
    """Return the name of the strength that did best on the tuning seeds."""

    def mean(name):
        keys = [(setting, "tuning", s, name) for s in TUNING_SEEDS[setting]]
        return np.mean([done[key] for key in keys], axis=0)

    if setting == "C":  # on what is validated
        return max(names, key=lambda name: mean(name)[2])
    if setting == "D":
        return max(names, key=lambda name: mean(name).mean())
    before, after = mean("frozen")[0], mean("plain")[0]
    least = before - MOST_FORGOTTEN * (before - after)
    return max(
        names,
        key=lambda name: (min(mean(name)[0], least), mean(name)[1]),
    )


def emoji_to_clip_art(pictures, seed):
    """A: the head for emoji is trained as in C, then everything."""
    model, parts, _ = learn_emoji(pictures, seed)
    train(model, parts[0], after_head(RATE, EMOJI_EPOCHS), seed)
    [emoji] = split([pictures[OLD]], (0.5,), seed)
    [new] = split([pictures[NEW]], (0.5,), seed)
    return add_task(model, *emoji, *new, seed)


def imagenet_to_clip_art(pictures, seed):
    """B: what ImageNet's head is sure of is to stay."""
    keras.utils.clear_session()
    [new] = split([pictures[NEW]], (0.5,), seed)
    styles = split([pictures[OLD], pictures[OTHER_STYLE]], (0.5,), seed)
    model = load_imagenet(new[0][0])
    old = [
        answer(model, np.concatenate([x for x, _ in part]))
        for part in zip(*styles, strict=True)
    ]
    counts = ", ".join(
        f"{len(y)} of {len(np.unique(y))} classes" for _, y in old
    )
    print(f"B, seed {seed}: sure of {counts}", flush=True)
    return add_task(model, *old, *new, seed)


MAKE_CASE = {"A": emoji_to_clip_art, "B": imagenet_to_clip_art}


def learn_emoji(pictures, seed):
    """Train a head for emoji of Google.

    Returns:
        Tuple `(model, parts, starts)`: a model with the trained head; data to
        train on, to validate, to test and of the other style; and the weights
        before that head was trained, and with it.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    google, twitter = split(
        [pictures[OLD], pictures[OTHER_STYLE]], (0.5, 0.2), seed
    )
    parts = *google, twitter[-1]
    model = kt.build_classifier(load(parts[0][0]), len(pictures[OLD]))
    start = model.get_weights()
    train_head(model, parts[0], seed)
    return model, parts, (start, model.get_weights())


def shift(pictures, seed, methods):
    """C: give each method, with its accuracies on both styles and alpha."""
    model, parts, starts = learn_emoji(pictures, seed)
    train_data, validation, *tests = parts
    starts = dict(zip(SHIFTS, starts, strict=True))

    def measure(weights):
        model.set_weights(weights)
        return [accuracy(model, data) for data in (*tests, validation)]

    for start, rate in dict.fromkeys(methods.values()):
        before = starts[start]
        model.set_weights(before)
        if not rate:
            yield "frozen (LP)", measure(before)
            continue
        train(model, train_data, after_head(rate, SHIFT_EPOCHS), seed)
        name, after = f"{start} {rate:g}", model.get_weights()
        yield name, measure(after)
        if name + BETWEEN[0] not in methods:
            continue
        # `measure` leaves its weights: the ends below are those of `after`.
        sweep = kt.sweep_weights(before, model, validation)
        half = kt.interpolate_weights(before, model, 0.5)
        for between, alpha, found in zip(
            BETWEEN, (0.5, sweep.best), (half, sweep.model), strict=True
        ):
            yield name + between, [*measure(found.get_weights()), alpha]
            model.set_weights(after)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=EXAMPLES)
    parser.add_argument("--results", default="forgetting.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--settings", nargs="+", default=[*"CABD"])
    parser.add_argument("--side", type=int, default=65)
    parser.add_argument("--figure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
