"""Whole audits: of clip art as it was found, of splits, of arrays."""

import hashlib
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_transfer as kt
from keras_transfer.insight import audit_images as module
from keras_transfer.insight.audit_images import audit_images
from tests.insight.audit.pictures import CLIPART

pytest.importorskip("imagehash")

# What a person sees in `clipart14`. These are in two folders, byte for byte;
# the turkey on its platter is no bird any more, the butterfly among flowers
# never was one, and a grenade is neither fish nor fruit.
IN_TWO_FOLDERS = {
    "apple_juice_box": ("beverage", "fruit"),
    "apple_juice_box_bw": ("beverage", "fruit"),
    "contour_bat": ("bird", "mammal"),
    "mirjam_meijer_mirjam_mei_01": ("bird", "flower"),
    "turkey_on_platter_01": ("bird", "meat"),
    "wing_mitchell_johnson_si": ("bird", "car"),
    "bluewhale_md": ("fish", "mammal"),
    "kallisti_grenade_1_nurbl_01": ("fish", "fruit"),
    "cartoon_tree_01": ("flower", "tree"),
}
# One flower, saved twice; and the sign "Linked Image Not Found" in the place
# of two birds, larger and smaller.
SAME_FLOWER = {"flower/red_flower_01", "flower/red_flower_03"}
NO_BIRDS = {"bird/duck_yellow_ii_kurt_cagl", "bird/tux_didier_fabert_01"}
# Different drawings of one hand: in other colours, with something more, or
# the outline alone. They are no copies.
FAMILIES = [
    "fruit/lemon_slice_ganson",
    "fruit/lime_slice_ganson",
    "fruit/apple_bitten_dan_gerhard_01",
    "fruit/apple_with_worm_dan_gerh_01",
    "fruit/orange_simple",
    "fruit/orange_simple_bw",
    "dessert/candy_20",
    "dessert/candy_21",
    "dessert/candy_22",
    "dessert/candy_30",
    "dessert/candy_31",
    "meat/fried_egg",
    "meat/fried_eggs",
]


def _digest(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file()
    }


def _names(finding):
    return {
        "/".join(pathlib.Path(path).with_suffix("").parts[-2:])
        for path in finding["paths"]
    }


def _of_kind(report, kind):
    return [f for f in report.findings if f["kind"] == kind]


@pytest.fixture(scope="module")
def backbone():
    """A network with random weights, which is fast."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 5, strides=4, activation="relu")(inputs)
    return kt.load_backbone(keras.Model(inputs, x))


@pytest.fixture(scope="module")
def clipart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clipart")
    names = [f"{c}/{n}" for n, both in IN_TWO_FOLDERS.items() for c in both]
    for name in [*names, *SAME_FLOWER, *NO_BIRDS, *FAMILIES]:
        target = folder / f"{name}.jpg"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(CLIPART / f"{name}.jpg", target)
    return folder


def test_clipart_as_it_was_found(clipart):
    before = _digest(clipart)
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(96, 96, 3)
    )
    report = audit_images(clipart, backbone=backbone, verbose=False)
    assert {frozenset(_names(f)) for f in _of_kind(report, "two_classes")} == {
        frozenset(f"{folder}/{name}" for folder in folders)
        for name, folders in IN_TWO_FOLDERS.items()
    }
    copies = [
        _names(finding)
        for finding in report.findings
        if finding["kind"].endswith("duplicate")
    ]
    assert sorted(copies, key=sorted) == [NO_BIRDS, SAME_FLOWER]
    assert not _of_kind(report, "unreadable")
    excluded = report.exclude()
    assert len(excluded) == 2 * len(IN_TWO_FOLDERS) + 1
    report.to_html(clipart.parent / "page.html")
    assert _digest(clipart) == before  # nothing is deleted, ever


def test_report_acts_on_the_split(clipart, backbone):
    report = audit_images(clipart, backbone=backbone, verbose=False)
    groups = {}
    for path, name in report.groups.items():
        groups.setdefault(name, set()).add(path)
    for seed in range(8):
        train, validation = kt.load_image_folder(
            clipart,
            image_size=8,
            validation_split=0.4,
            seed=seed,
            split_file=None,
            groups=report,
            exclude=_of_kind(report, "two_classes")[0]["paths"],
            verbose=False,
        )
        paths = [*train.file_paths, *validation.file_paths]
        assert not [path for path in paths if "apple_juice_box." in path]
        for members in groups.values():
            members = members & set(paths)
            assert members <= set(train.file_paths) or members <= set(
                validation.file_paths
            )


def _save(path, seed, side=48):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3))
    image = Image.fromarray(pixels.astype("uint8"))
    image.resize((side, side), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def splits(tmp_path):
    for number, (split, name) in enumerate(
        (s, n) for s in ("train", "test") for n in ("ant", "größe")
    ):
        for i in range(12):
            _save(tmp_path / split / name / f"{i}.png", 100 * number + i)
    _save(tmp_path / "test/ant/again.jpg", 3, side=30)
    return tmp_path


def test_leaks_between_folders(splits, backbone, capsys):
    report = audit_images(splits, backbone=backbone)
    assert "1  leak" in capsys.readouterr().out
    assert report.pictures == 49 and report.class_names == ("ant", "größe")
    [leak] = _of_kind(report, "leak")
    assert leak["splits"] == ("test", "train")
    assert report.exclude(["leak"]) == [str(splits / "train/ant/3.png")]
    # The copy in the test set stays, though it is the smaller one.
    assert report.exclude() == [str(splits / "train/ant/3.png")]


def test_data_sets_of_load_image_folder(splits, backbone):
    shutil.copy(splits / "train/ant/1.png", splits / "train/größe/1 too.png")
    loaded = kt.load_image_folder(
        splits / "train", image_size=16, validation_split=0.3, verbose=False
    )
    report = audit_images(loaded, backbone=backbone, verbose=False)
    assert report.pictures == 25
    [both] = _of_kind(report, "two_classes")
    assert set(both["classes"]) == {"ant", "größe"}
    for path, name, split in zip(
        both["paths"], both["classes"], both["splits"], strict=True
    ):
        assert f"/{name}/" in path
        assert path in loaded[split == "validation"].file_paths
    alone = audit_images(loaded[0], backbone=backbone, verbose=False)
    assert alone.pictures == len(loaded[0].file_paths)


def _arrays(count, seed=0):
    random = np.random.default_rng(seed)
    small = random.random((count, 6, 6, 3)).astype("float32")
    x = np.clip(tf.image.resize(small, (40, 40), "bicubic"), 0, 1)
    return x, np.arange(count) % 2


@pytest.mark.parametrize("scale", [1, 255, -1])
def test_arrays_are_named_by_their_number(backbone, tmp_path, scale):
    x, y = _arrays(30)
    x[7], y[7] = x[4], y[4]
    x[9] = 0.5
    x = 2 * x - 1 if scale < 0 else x * scale
    report = audit_images((x, y), backbone=backbone, verbose=False)
    [copies] = _of_kind(report, "exact_duplicate")
    assert copies["paths"] == ("example 4", "example 7")
    assert [f["paths"] for f in _of_kind(report, "blank")] == [("example 9",)]
    thumbnail = report.thumbnails["example 4"].astype("float32")
    assert thumbnail.max() > 200 and thumbnail.min() < 60
    report.to_html(tmp_path / "page.html")


def test_a_pair_of_other_data_sets(backbone):
    (x, y), (x2, y2) = _arrays(20), _arrays(20, seed=1)
    x2[5] = x[3]
    pair = tuple(
        tf.data.Dataset.from_tensor_slices(part).batch(7)
        for part in ((x, keras.utils.to_categorical(y)), (x2, y2 * 1.0))
    )
    report = audit_images(
        (pair[0], pair[0].concatenate(pair[0]).take(3)),
        backbone=backbone,
        verbose=False,
    )
    assert len(_of_kind(report, "leak")) == 20


def test_without_a_backbone_the_report_says_so(splits, monkeypatch):
    def missing(*arguments, **options):
        raise ImportError("no weights here")

    monkeypatch.setattr(module, "load_backbone", missing)
    report = audit_images(splits, verbose=False)
    assert len(_of_kind(report, "leak")) == 1
    assert not _of_kind(report, "label_error")
    assert "bundled" in report.notes[0] and report.notes[0] in str(report)


def test_wrong_labels_on_real_weights(tmp_path):
    for name in ("car", "fruit", "mammal"):
        (tmp_path / name).mkdir()
        for file in sorted((CLIPART / name).iterdir())[:24]:
            shutil.copy(file, tmp_path / name)
    moved = {
        "fruit/cherries": "mammal/cherries",
        "car/4wd": "fruit/4wd",
        "mammal/camel_head_01": "car/camel_head_01",
    }
    for right, wrong in moved.items():
        (tmp_path / f"{right}.jpg").rename(tmp_path / f"{wrong}.jpg")
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(96, 96, 3)
    )
    report = audit_images(tmp_path, backbone=backbone, verbose=False)
    suspected = [_names(f).pop() for f in _of_kind(report, "label_error")]
    assert len({*moved.values()} & {*suspected[:4]}) >= 2


def test_odd_folders(tmp_path, backbone):
    with pytest.raises(FileNotFoundError):
        audit_images(tmp_path / "missing", backbone=backbone)
    with pytest.raises(ValueError, match=f"Received: data={tmp_path}"):
        audit_images(tmp_path, backbone=backbone)
    (tmp_path / "one").mkdir()
    (tmp_path / "one/a.png").write_bytes(b"broken")
    report = audit_images(tmp_path, backbone=backbone, verbose=False)
    assert report.counts() == {"unreadable": 1, "few_examples": 1}
    _save(tmp_path / "one/b.png", 0)
    report = audit_images(tmp_path, backbone=backbone, verbose=False)
    assert report.counts() == {"unreadable": 1, "few_examples": 1}
    assert "one" in report.notes[0]


def test_what_is_no_set_of_pictures(backbone):
    with pytest.raises(ValueError, match="pictures"):
        audit_images((np.zeros((4, 7)), np.zeros(4)), backbone=backbone)
    with pytest.raises(ValueError, match="channels"):
        audit_images((np.zeros((4, 8, 8, 2)), np.zeros(4)), backbone=backbone)
    with pytest.raises(ValueError, match="Received"):
        audit_images(7, backbone=backbone)
