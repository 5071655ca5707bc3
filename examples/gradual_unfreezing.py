"""Unfreeze a network from the head down, inside one `model.fit`.

    python examples/gradual_unfreezing.py
    python examples/gradual_unfreezing.py --resume backup

With `--resume`, the same command goes on where it was interrupted.
"""

import argparse
import pathlib

import keras

import keras_transfer as kt

CLIPART = pathlib.Path(__file__).parent / "data" / "clipart14"


def main():
    arguments = read_arguments()
    keras.utils.set_random_seed(arguments.seed)

    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(arguments.side,) * 2 + (3,)
    )
    train, validation = kt.load_image_folder(
        arguments.data, image_size=arguments.side, on_error="skip"
    )
    model = kt.build_classifier(backbone, train.class_names)
    model.compile(
        # A group below trains at 0.7 times the rate of the one above.
        kt.DiscriminativeOptimizer("adam", decay=0.7),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )

    phases = [
        kt.Phase("head", arguments.epochs, 5e-3),
        kt.Phase("top:4", arguments.epochs, 3e-4, schedule="warmup_cosine"),
        kt.Phase("all", arguments.epochs, 3e-4, schedule="one_cycle"),
    ]
    callbacks = [
        kt.GradualUnfreezing(phases),
        kt.BestWeights(),
        kt.TransferBoard(arguments.log_dir, validation_data=validation),
    ]
    if arguments.resume:
        callbacks.append(kt.PhaseBackup(arguments.resume))
    model.fit(
        train,
        validation_data=validation,
        epochs=3 * arguments.epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=2,
    )
    print(kt.trainable_summary(model))
    if arguments.save:
        model.save(arguments.save)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=CLIPART, help="class folders")
    parser.add_argument("--side", type=int, default=128, help="of the images")
    parser.add_argument("--epochs", type=int, default=5, help="of each phase")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-dir", default="logs/gradual_unfreezing")
    parser.add_argument("--resume", metavar="FOLDER", help="for the state")
    parser.add_argument("--save", help="file for the model, such as x.keras")
    return parser.parse_args()


if __name__ == "__main__":
    main()
