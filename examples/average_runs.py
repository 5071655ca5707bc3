"""Fine-tune several times from one head, and average the weights.

    python examples/average_runs.py
    python examples/average_runs.py --data photos --rates 1e-4 3e-4 1e-3

The runs differ in rate and seed. Their greedy soup is made of those that are
better together, as fast as one network; then weights between the trained head
and the soup are tried (WiSE-FT). All of that is chosen on one half of the
pictures held out, and tested on the other, beside each run alone. Each run ends
with Keras's moving average of its own weights.
"""

import argparse
import pathlib

import keras
import numpy as np

import keras_transfer as kt

CLIPART = pathlib.Path(__file__).parent / "data" / "clipart14"


def main():
    arguments = read_arguments()
    keras.utils.set_random_seed(0)
    train, held_out = kt.load_image_folder(
        arguments.data,
        image_size=arguments.side,
        validation_split=0.4,
        on_error="skip",
        verbose=False,
    )
    x, y = map(np.concatenate, zip(*held_out, strict=True))
    validation, test = (x[::2], y[::2]), (x[1::2], y[1::2])
    model = kt.build_classifier(
        kt.load_backbone(
            arguments.backbone,
            input_shape=(arguments.side, arguments.side, 3),
        ),
        train.class_names,
    )
    head = kt.strategies.extraction(arguments.head_epochs)
    train_with(model, train, head, seed=0)
    start = model.get_weights()

    runs = []
    for seed, rate in enumerate(arguments.rates):
        model.set_weights(start)
        phase = kt.Phase("all", arguments.epochs, rate)
        train_with(
            model,
            train,
            [phase],
            seed=seed,
            optimizer=keras.optimizers.Adam(use_ema=True, ema_momentum=0.9),
            callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
        )
        runs.append(model.get_weights())

    model.set_weights(start)
    soup = kt.soup_weights([model, *runs], validation)
    print(f"The head (0) and the runs, on what they are chosen by:\n{soup}\n")
    sweep = kt.sweep_weights(start, soup.model, validation)
    print(f"From the head to their soup:\n{sweep}\n")

    print(f"On {len(test[1])} other pictures:")
    print(f"  {'the head alone':<20}{measure(model, start, test):.3f}")
    for rate, weights in zip(arguments.rates, runs, strict=True):
        name = f"a run at {rate:g}"
        print(f"  {name:<20}{measure(model, weights, test):.3f}")
    for name, found in (("the soup", soup), ("between", sweep)):
        weights = found.model.get_weights()
        print(f"  {name:<20}{measure(model, weights, test):.3f}")
    model.set_weights(soup.model.get_weights())
    model.save(arguments.save)


def train_with(model, train, phases, **options):
    kt.fine_tune(
        model,
        train,
        strategy=phases,
        baselines=False,
        log_dir=False,
        verbose=0,
        **options,
    )


def measure(model, weights, data):
    model.set_weights(weights)
    return model.evaluate(*data, return_dict=True, verbose=0)["accuracy"]


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
        "--rates", type=float, nargs="+", default=[1e-4, 2e-4, 3e-4, 5e-4]
    )
    parser.add_argument("--side", type=int, default=96, help="in pixels")
    parser.add_argument("--head-epochs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6, help="of each run")
    parser.add_argument("--save", default="average.keras")
    return parser.parse_args()


if __name__ == "__main__":
    main()
