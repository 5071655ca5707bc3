"""Teach a trained classifier new classes, and see what it forgets.

    python examples/continual_learning.py
    python examples/continual_learning.py --data photos --later 3 --kept 20

A network learns all classes of a folder but the last few. Then those come, and
the old pictures are gone, but for a few of each class that were kept. It learns
the new ones twice from the same start: with these few among them, and without.
"""

import argparse
import pathlib

import keras

import keras_transfer as kt

CLIPART = pathlib.Path(__file__).parent / "data" / "clipart14"


def main():
    arguments = read_arguments()
    folders = sorted(p for p in arguments.data.iterdir() if p.is_dir())
    earlier, later = folders[: -arguments.later], folders[-arguments.later :]
    train, validation = load(arguments, without=later)
    new_train, new_validation = load(arguments, without=earlier)

    backbone = kt.load_backbone(
        arguments.backbone,
        input_shape=(arguments.side, arguments.side, 3),
    )
    model = kt.build_classifier(backbone, train.class_names)
    first = kt.fine_tune(
        model,
        train,
        validation,
        strategy="lp_ft",
        epochs=arguments.epochs,
        log_dir=False,
        verbose=0,
    )
    print(f"\nThe first classes: accuracy {first.report.accuracy:.3f}.")
    memory = kt.choose_memory(model, train, per_class=arguments.kept)
    print(f"Kept of them: {len(memory[1])} pictures.")
    model.save(arguments.save)

    for name, kept in {"Without": None, "With": memory}.items():
        model = keras.models.load_model(arguments.save)
        monitor = kt.ForgettingMonitor(validation, freq=10)
        result = kt.update(
            model,
            new_train,
            new_validation,
            memory=kept,
            old_validation=validation,
            callbacks=monitor,
            log_dir=False,
            verbose=0,
        )
        print(f"\n{name} pictures of the first classes:\n{result}")
        print(monitor.describe())
    result.model.save(arguments.save)
    print(f"\n{arguments.save} tells {len(folders)} classes apart.")


def load(arguments, without):
    """Load all classes but some."""
    return kt.load_image_folder(
        arguments.data,
        image_size=arguments.side,
        exclude=[file for folder in without for file in folder.rglob("*")],
        verbose=False,
    )


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=pathlib.Path,
        default=CLIPART,
        help="folder of class folders (default: the clip art beside this file)",
    )
    parser.add_argument("--backbone", default="bundled:efficientnet_lite0")
    parser.add_argument(
        "--later", type=int, default=4, help="number of classes"
    )
    parser.add_argument("--kept", type=int, default=10, help="of each class")
    parser.add_argument("--side", type=int, default=96, help="in pixels")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--save", default="continual.keras")
    return parser.parse_args()


if __name__ == "__main__":
    main()
