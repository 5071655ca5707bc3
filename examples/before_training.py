"""Find out what to expect and what to train, before training anything.

    python examples/before_training.py
    python examples/before_training.py --data photos --backbones MobileNetV2

Three questions, from a few passes over the pictures: which backbone, what is to
be had without training it, and how many of its layer groups should train. Then
it trains what was recommended. `photos` holds a folder of images for each
class.
"""

import argparse
import pathlib

import keras_transfer as kt

CLIPART = pathlib.Path(__file__).parent / "data" / "clipart14"


def main():
    arguments = read_arguments()
    side = arguments.side
    train, validation = kt.load_image_folder(
        arguments.data, image_size=(side, side)
    )
    ranking = kt.rank_backbones(train, arguments.backbones)
    print(f"{ranking}\n")
    backbone = kt.load_backbone(
        ranking.recommended, input_shape=(side, side, 3)
    )
    print(f"{kt.baseline(train, backbone, validation)}\n")
    model = kt.build_classifier(backbone, train.class_names)
    recommendation = kt.recommend(
        model,
        train,
        validation,
        epochs=arguments.epochs,
        seconds=arguments.seconds,
    )
    print(f"\n{recommendation}\n")
    result = kt.fine_tune(
        model,
        train,
        validation,
        strategy=recommendation.phases,
        baselines=True,
        verbose=2,
    )
    print(result.report)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default=CLIPART,
        help="folder of class folders (default: the clip art beside this file)",
    )
    parser.add_argument(
        "--backbones",
        nargs="+",
        default=["bundled:efficientnet_lite0"],
        help="candidates, as for kt.load_backbone (default: %(default)s)",
    )
    parser.add_argument("--side", type=int, default=128, help="in pixels")
    parser.add_argument("--epochs", type=int, help="default: 30 or more")
    parser.add_argument("--seconds", type=float, help="budget for training")
    return parser.parse_args()


if __name__ == "__main__":
    main()
