"""Tell several things of a picture with one network, from partial labels.

    python examples/multitask.py
    python examples/multitask.py --labelled 0.3 --strategy lp_ft --epochs 10

Three tasks for the clip art in `examples/data`: what it shows (14 classes),
whether that is an animal, and how much of the paper is covered (a number from
0 to 1). Each picture for training keeps the label of each task with the same
chance; those that are gone count nothing. The losses of the tasks are weighed
by weights that are learned.
"""

import argparse
import pathlib

import keras
import numpy as np

import keras_transfer as kt

CLIPART = pathlib.Path(__file__).parent / "data" / "clipart14"
ANIMALS = {"bird", "bug", "fish", "mammal"}
NEARLY_WHITE = 240


def main():
    arguments = read_arguments()
    keras.utils.set_random_seed(arguments.seed)
    side = arguments.side
    train, validation = kt.load_image_folder(CLIPART, image_size=(side, side))
    names = train.class_names
    images, labels = label_pictures(train, names)
    labels = drop_labels(labels, arguments.labelled)
    for task, values in labels.items():
        print(f"{task}: {np.sum(values >= 0)} of {len(values)} labels")

    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(side, side, 3)
    )
    model = kt.build_multitask(
        backbone,
        {"subject": names, "animal": "binary", "covered": "regression"},
        balance="uncertainty",
    )
    validation = label_pictures(validation, names)
    result = kt.fine_tune(
        model,
        (images, labels),
        validation,
        strategy=arguments.strategy,
        epochs=arguments.epochs,
        log_dir=arguments.log_dir,
        verbose=2,
    )
    print(f"\n{result.report}\n")
    for task, weight in model.task_weights().items():
        print(f"the loss of {task} is multiplied by {weight:.2f}")

    answers = model.predict(validation[0][:1], verbose=0)
    for task, [answer] in kt.decode_predictions(model, answers, top=1).items():
        print(f"first picture, {task}: {answer}")
    if arguments.save:
        model.save(arguments.save)


def label_pictures(data, names):
    """Return pictures as an array, and the labels of all tasks."""
    batches = list(data.as_numpy_iterator())
    images, numbers = map(np.concatenate, zip(*batches, strict=True))
    images = images.round().astype("uint8")
    is_animal = np.array([name in ANIMALS for name in names])
    covered = images.min(axis=3) < NEARLY_WHITE
    return images, {
        "subject": numbers,
        "animal": is_animal[numbers].astype("float32"),
        "covered": covered.mean(axis=(1, 2)).astype("float32"),
    }


def drop_labels(labels, share):
    """Keep a share of the labels of each task, whichever they are."""
    kept = {}
    for task, values in labels.items():
        missing = -1 if values.dtype.kind == "i" else np.nan
        is_kept = np.random.uniform(size=len(values)) < share
        kept[task] = np.where(is_kept, values, missing).astype(values.dtype)
    return kept


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--labelled",
        type=float,
        default=0.5,
        help="share of the labels to keep (default: %(default)s)",
    )
    parser.add_argument("--strategy", default="extraction")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--side", type=int, default=129, help="in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-dir", default="logs/multitask")
    parser.add_argument("--save", help="file for the model, such as x.keras")
    return parser.parse_args()


if __name__ == "__main__":
    main()
