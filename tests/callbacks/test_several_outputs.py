"""`TransferBoard` on models with several outputs."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from tests.callbacks.test_transfer_board import read, texts

ANIMALS, SIZES = ["ant", "bee", "cow"], ["small", "large"]


def examples(count=40):
    x = np.random.default_rng(0).uniform(0, 255, (count, 6, 6, 3))
    animals = np.arange(count) % 3
    return x.astype("float32"), animals, (animals == 2).astype("float32")


def build(kind, **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Flatten()(x)
    outputs = [
        keras.layers.Dense(3, activation="softmax", name="animal")(x),
        keras.layers.Dense(1, name="size")(x),
        keras.layers.Dense(1, name="weight")(x),
    ]
    losses = [
        "sparse_categorical_crossentropy",
        keras.losses.BinaryCrossentropy(from_logits=True),
        "mse",
    ]
    if kind == "dict":
        names = "animal", "size", "weight"
        outputs, losses = (
            dict(zip(names, part, strict=True)) for part in (outputs, losses)
        )
    model = keras.Model(inputs, outputs)
    model.compile("sgd", losses, **options)
    return model


@pytest.mark.parametrize("kind", ["list", "dict"])
@pytest.mark.parametrize("heard", [True, False])
def test_each_output_has_pages_of_its_own(tmp_path, kind, heard):
    x, animals, sizes = examples()
    labels = [animals, sizes, np.linspace(0, 9, 40)]
    if kind == "dict":
        names = "animal", "size", "weight"
        labels = dict(zip(names, labels, strict=True))
    model, data = build(kind), (x, labels)
    board = kt.TransferBoard(
        tmp_path,
        validation_data=data,
        class_names={"animal": ANIMALS, "size": SIZES},
    )
    options = {"validation_data": data} if heard else {}
    model.fit(*data, epochs=2, callbacks=[board], verbose=0, **options)
    logs = read(tmp_path / "validation")
    outputs = model.predict(x, verbose=0)
    if kind == "dict":
        outputs = [outputs["animal"], outputs["size"]]
    for name, names, right in (
        ("animal", ANIMALS, outputs[0].argmax(1) == animals),
        ("size", SIZES, (outputs[1][:, 0] > 0) == sizes),
    ):
        report = texts(logs, f"class_report/{name}")[-1]
        for each in names:
            assert f"| {each} |" in report
        for tag in ("confusion_matrix", "f1", "reliability"):
            assert f"{tag}/{name}" in logs
        assert f"precision_recall/{name}/{names[1]}" in logs
        # The share of right answers is in the report as well.
        rows = [row.split("|") for row in report.splitlines()[2:-1]]
        recalled = sum(float(row[3]) * int(row[5]) for row in rows)
        assert recalled == pytest.approx(right.sum(), abs=0.1)
    assert not any(
        "weight" in tag
        for tag in logs
        if "evaluation" not in tag and not tag.startswith("epoch")
    )
    table = (tmp_path / "projector" / "metadata.tsv").read_text()
    assert table.startswith(
        "class of animal\tpredicted of animal\tright of animal\t"
        "class of size\tpredicted of size\tright of size\n"
        "ant\t"
    )


def test_names_of_no_output_are_said(tmp_path):
    x, animals, sizes = examples()
    data = x, [animals, sizes, sizes]
    names = {"animal": ANIMALS, "Size": SIZES}
    board = kt.TransferBoard(tmp_path, validation_data=data, class_names=names)
    with pytest.warns(UserWarning, match="animal, size, weight. Received: cl"):
        build("list", run_eagerly=True).fit(*data, callbacks=[board], verbose=0)


def test_wrong_class_names_of_one_output_are_said(tmp_path):
    x, animals, sizes = examples()
    data = x, [animals, sizes, sizes]
    board = kt.TransferBoard(
        tmp_path, validation_data=data, class_names={"animal": SIZES}
    )
    with pytest.warns(UserWarning, match="3 classes apart"):
        build("list").fit(*data, callbacks=[board], verbose=0)
