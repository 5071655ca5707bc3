"""TensorBoard's pages after two trainings, as a browser shows them."""

import itertools
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import keras_transfer as kt
from tests.board.browser import (
    CHROMIUM,
    DRIVER,
    Browser,
    TensorBoard,
    wait_for,
)

ROOT = pathlib.Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"

CLASSES = ("bird", "bug", "fish", "mammal")
RUNS = {
    "probe": {"strategy": "extraction", "epochs": 2},
    "tuned": {"strategy": "fine_tuning", "epochs": 9},
}


def train(folder, logs):
    """Train on some of the clip art; return the size of the last embedding."""
    for name in CLASSES:
        shutil.copytree(ROOT / "examples/data/clipart14" / name, folder / name)
    train, validation = kt.load_image_folder(
        folder, image_size=(96, 96), verbose=False
    )
    for name, settings in RUNS.items():
        backbone = kt.load_backbone(
            "bundled:efficientnet_lite0", input_shape=(96, 96, 3)
        )
        model = kt.build_classifier(backbone, train.class_names)
        run = {"log_dir": logs / name, "seed": 0, "verbose": 0, **settings}
        kt.fine_tune(model, train, validation, **run)
    return sum(len(labels) for _, labels in validation), backbone.feature_dim


class Pages:
    """What each page has to show. Every method is about one."""

    def __init__(self, browser, address, points):
        self.browser, self.points = browser, points
        self._address = address

    def open(self, tab, **settings):
        self.browser.open(self._address, tab, **settings)

    def scalars(self):
        lines = {
            # Training and validation of two runs; the rest is of training.
            "epoch_accuracy": 4,
            "gap/accuracy": 2,
            "phase/number": 2,
            "gradient/head": 2,
            "gradient/stem": 1,  # which trains in one run alone
            "update/stem": 1,
            "drift/stem": 2,
            "speed/seconds": 2,
        }
        tags = f"^({'|'.join(lines)})$"
        self.open("scalars", _smoothingWeight=0, tagFilter=tags)
        self.browser.wait_for_words(*lines)
        self.browser.wait_for_charts(lines)

    def custom_scalars(self):
        self.open("custom_scalars", _smoothingWeight=0)
        self.browser.wait_for_words("Learning", "What trains", "Drift", "Speed")
        # Of 18 layer groups, less one: TensorBoard hides outliers at first.
        groups = 17
        self.browser.wait_for_charts(
            {
                "loss": 4,
                "metrics": 4,
                "gap between training and validation, loss": 2,
                "gap between training and validation, metrics": 2,
                "phase": 2,
                "trainable share": 2,
                "learning rates": 2 * groups,
                "gradient norms": groups,
                "updates, as a share of the weights": groups,
                "drift from the first weights": 2 * groups,
                "drift of the head": 2,
                "examples a second": 2,
                "seconds an epoch": 2,
                "examples from the cache": 2,
            }
        )

    def images(self):
        tags = (
            "confusion_matrix",
            "confusion_matrix_shares",
            "f1",
            "reliability",
            "confident_mistakes",
            "uncertain_examples",
        )
        self.open("images", tagFilter=f"^({'|'.join(tags)})$")
        runs = [f"{run}/validation" for run in RUNS]
        self.browser.wait_for_pictures(set(itertools.product(runs, tags)))

    def grad_cam(self):
        self.open("images", tagFilter="grad_cam")
        self.browser.wait_for_words("grad_cam")
        wait_for(self.browser.pictures, lambda: "no picture")

    def text(self):
        self.open("text", tagFilter="phase|report|layer_groups|data")
        self.browser.wait_for_words(
            *("class_report", "precision", "support", *CLASSES),
            *("layer_groups", "block_16", "trainable:"),
            *("phase", "trains", "learning rate", "stem to block_16"),
            *("report", "after fine-tuning"),
            "data",
        )

    def pr_curves(self):
        self.open("pr_curves")
        self.browser.wait_for_words(
            *(f"precision_recall/{name}" for name in CLASSES)
        )

    def hparams(self):
        self.open("hparams")
        self.browser.wait_for_words(
            *("strategy", "learning_rates", "optimizer", "epochs"),
            *("validation accuracy", "validation loss"),
            *RUNS,
            *("chosen", "chosen, 0.0001"),
        )

    def projector(self):
        self.open("projector")
        self.browser.wait_for_words(
            *("before training", "after training", "predicted"),
            *("Points:", str(self.points[0])),
            *("Dimension:", str(self.points[1])),
        )
        # What PCA makes of them is drawn between the two side panels.
        wait_for(
            lambda: self.count_colors((400, 200, 1200, 900)) > 100,
            lambda: "no points are drawn",
        )

    def count_colors(self, box):
        """Count colours of a part of the window; many mean pictures."""
        path = SCREENSHOTS / "projector.png"
        self.browser.save(path)
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB").crop(box))
        return len(np.unique(pixels.reshape(-1, 3), axis=0))

    def timeseries(self):
        """The page that TensorBoard opens with."""
        self.open("timeseries")
        self.browser.wait_for_words("epoch_accuracy", "confusion_matrix", *RUNS)


@pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no `chromium` and `chromedriver`: see install_chromium.sh",
)
def test_pages_show_what_was_logged(tmp_path, subtests):
    logs = tmp_path / "logs"
    points = train(tmp_path / "pictures", logs)
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    with TensorBoard(logs) as tensorboard, Browser() as browser:

        def is_loaded():
            tags = tensorboard.ask("text/tags") or {}
            return all("report" in tags.get(f"{r}/train", ()) for r in RUNS)

        wait_for(is_loaded, lambda: "the logs are not loaded")
        pages = Pages(browser, tensorboard.address, points)
        for check in (
            pages.timeseries,
            pages.scalars,
            pages.custom_scalars,
            pages.images,
            pages.grad_cam,
            pages.text,
            pages.pr_curves,
            pages.hparams,
            pages.projector,
        ):
            with subtests.test(check.__name__):
                try:
                    check()
                finally:
                    browser.save(SCREENSHOTS / f"{check.__name__}.png")
