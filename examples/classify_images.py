"""Train an image classifier on class folders, and watch it in TensorBoard.

    python examples/classify_images.py
    python examples/classify_images.py --data photos --backbone MobileNetV2

`photos` holds a folder of images for each class.
"""

import argparse
import pathlib

import keras

import keras_transfer as kt

CLIPART = pathlib.Path(__file__).parent / "data" / "clipart14"


def main():
    arguments = read_arguments()
    keras.utils.set_random_seed(arguments.seed)

    shape = arguments.side and (arguments.side, arguments.side, 3)
    backbone = kt.load_backbone(arguments.backbone, input_shape=shape)
    train, validation = kt.load_image_folder(
        arguments.data,
        image_size=backbone.input_shape[:2],
        validation_split=arguments.validation_split,
        seed=arguments.seed,
        on_error="skip",
    )
    model = kt.build_classifier(backbone, train.class_names)
    result = kt.fine_tune(
        model,
        train,
        validation,
        strategy=arguments.strategy,
        epochs=arguments.epochs,
        log_dir=arguments.log_dir,
        verbose=2,
    )
    if arguments.save:
        model.save(arguments.save)
        print(f"The model is in {arguments.save}.")
    print(f"\n{result.report}")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default=CLIPART,
        help="folder of class folders (default: the clip art beside this file)",
    )
    parser.add_argument(
        "--backbone",
        default="bundled:efficientnet_lite0",
        help="a name of keras.applications or a TF Hub handle "
        "(default: %(default)s, which needs no download)",
    )
    parser.add_argument(
        "--strategy",
        default="auto",
        choices=kt.strategies.__all__,
    )
    parser.add_argument(
        "--epochs", type=int, help="in all (default: the strategy's)"
    )
    parser.add_argument(
        "--side", type=int, help="of the images (default: the backbone's)"
    )
    parser.add_argument("--validation-split", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--log-dir", help="for TensorBoard (default: a new one under logs/)"
    )
    parser.add_argument("--save", help="file for the model, such as x.keras")
    return parser.parse_args()


if __name__ == "__main__":
    main()
