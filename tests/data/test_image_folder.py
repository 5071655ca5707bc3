"""What a training script relies on when it loads a folder of images."""

import gc
import os
import pathlib
import shutil
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_transfer.data import image_decoding
from keras_transfer.data.image_decoding import read_image
from keras_transfer.data.image_folder import SPLIT_FILE, load_image_folder

CLIPART = pathlib.Path(__file__).parents[2] / "examples/data/clipart14"


def _write(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Three classes of 20 images; each has a colour of its own."""
    for number, name in enumerate(["bird", "cat", "übrige Tiere"]):
        for i in range(20):
            _write(tmp_path / name / f"{i}.png", (number, i, 100))
    return tmp_path


def _load(folder, **options):
    options = {"image_size": 8, "batch_size": 7, "verbose": False, **options}
    return load_image_folder(folder, **options)


def _colours(dataset):
    """The colours of the images in order: who they are."""
    return [tuple(c) for x, _ in dataset for c in x[:, 0, 0].numpy().tolist()]


def _sides(folder, **options):
    train, validation = _load(folder, **options)
    return {path: False for path in train.file_paths} | {
        path: True for path in validation.file_paths
    }


def test_batches_and_attributes(folder):
    train, validation = _load(folder)
    assert train.class_names == ["bird", "cat", "übrige Tiere"]
    assert validation.class_names == train.class_names
    assert train.file_paths == sorted(train.file_paths)
    assert len(train.file_paths) + len(validation.file_paths) == 60
    assert not set(train.file_paths) & set(validation.file_paths)
    for dataset in (train, validation):
        count = len(dataset.file_paths)
        assert len(dataset) == -(-count // 7)
        sizes = [len(y) for _, y in dataset]
        assert sizes == [7] * (count // 7) + [count % 7] * (count % 7 > 0)
        images, labels = dataset.element_spec
        assert images.shape == (None, 8, 8, 3) and images.dtype == tf.float32
        assert labels.shape == (None,) and labels.dtype == tf.int32
        for x, y in dataset:
            np.testing.assert_array_equal(x[:, 0, 0, 0], y)
            np.testing.assert_array_equal(x[:, 5, 5, 2], [100] * len(y))


def test_validation_is_in_the_order_of_its_paths(folder):
    _, validation = _load(folder)
    expected = [
        tuple(float(v) for v in Image.open(path).getpixel((0, 0)))
        for path in validation.file_paths
    ]
    assert _colours(validation) == _colours(validation) == expected


def test_training_is_shuffled_globally_and_anew_every_epoch(folder):
    train, _ = _load(folder)
    first, second = _colours(train), _colours(train)
    assert first != second and sorted(first) == sorted(second)
    # Not a small buffer: all classes are in the first third.
    assert {red for red, _, _ in first[:16]} == {0, 1, 2}
    keras.utils.set_random_seed(99)
    again, _ = _load(folder)
    assert [_colours(again), _colours(again)] == [first, second]
    other, _ = _load(folder, seed=1)
    assert _colours(other) != first


def test_zero_validation_split_gives_no_validation_set(folder):
    train, validation = _load(folder, validation_split=0)
    assert validation is None
    assert len(train.file_paths) == 60


def test_fit(folder):
    train, validation = _load(folder)
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    # Keras 3.15 warns about every dataset unless told not to shuffle.
    history = model.fit(
        train, validation_data=validation, epochs=2, shuffle=False, verbose=0
    )
    assert len(history.history["val_loss"]) == 2


def test_split_follows_content_and_not_names(folder):
    before = _sides(folder)
    for path in list(before):
        os.rename(path, path.replace(".png", " renamed.png"))
    after = _sides(folder)
    assert {p.replace(" renamed", ""): s for p, s in after.items()} == before
    assert _sides(folder, seed=1) != after


def test_adding_files_moves_none(folder):
    for i in range(3):
        _write(folder / "tiny" / f"{i}.png", (50, i, 0))
    before = _sides(folder)
    for i in range(15):
        _write(folder / "cat" / f"new {i}.png", (1, 100 + i, 7))
        _write(folder / "tiny" / f"{i}.png", (50, i, 0))
        _write(folder / "another" / f"{i}.png", (77, i, 0))
        after = _sides(folder)
        assert {path: after[path] for path in before} == before
        before = after


def test_tiny_classes_are_on_both_sides(tmp_path, capsys):
    for name, count in (("two", 2), ("three", 3), ("five", 5)):
        for i in range(count):
            _write(tmp_path / name / f"{i}.png", (count, i, 0))
    for seed in range(5):
        sides = _sides(tmp_path, seed=seed)
        for name in ("two", "three", "five"):
            found = {s for p, s in sides.items() if f"/{name}/" in p}
            assert found == {True, False}
    assert (tmp_path / SPLIT_FILE).exists()
    _load(tmp_path, seed=5, validation_split=0.001, verbose=True)
    assert str(tmp_path / SPLIT_FILE) in capsys.readouterr().out
    _load(tmp_path, seed=5, validation_split=0.001, verbose=True)
    assert SPLIT_FILE not in capsys.readouterr().out


def test_copies_stay_together_across_classes(folder):
    for i in range(20):
        shutil.copy(folder / f"bird/{i}.png", folder / f"cat/copy {i}.png")
    sides = _sides(folder)
    for i in range(20):
        bird = sides[str(folder / f"bird/{i}.png")]
        assert sides[str(folder / f"cat/copy {i}.png")] == bird


def test_split_by_name_and_by_a_function(folder):
    sides = _sides(folder, split_by="name")
    by_stem = {pathlib.Path(p).stem: s for p, s in sides.items()}
    assert all(by_stem[pathlib.Path(p).stem] == s for p, s in sides.items())

    def patient(path):
        assert "/" in path and not path.startswith("/")
        return pathlib.Path(path).stem[-1]

    sides = _sides(folder, split_by=patient, validation_split=0.5)
    by_patient = {pathlib.Path(p).stem[-1]: s for p, s in sides.items()}
    assert set(by_patient.values()) == {True, False}
    assert all(
        by_patient[pathlib.Path(p).stem[-1]] == s for p, s in sides.items()
    )


def test_split_file_elsewhere_and_none(tmp_path, capsys):
    folder = tmp_path / "images"
    for name in ("a", "b"):
        for i in range(4):
            _write(folder / name / f"{i}.png", (i, 0, ord(name)))
    elsewhere = tmp_path / "split.json"
    _load(folder, split_file=elsewhere, validation_split=0.001)
    assert elsewhere.exists() and not (folder / SPLIT_FILE).exists()
    with pytest.raises(ValueError, match="too few images for a validation"):
        _load(folder, split_file=None, validation_split=0.001)
    for i in range(60):
        _write(folder / "b" / f"{i}.png", (i, 1, 0))
    for seed in range(20):
        _, validation = _load(folder, split_file=None, seed=seed, verbose=True)
        alone = not any("/a/" in path for path in validation.file_paths)
        assert ("No validation images of: a." in capsys.readouterr().out) == (
            alone
        )
    assert not (folder / SPLIT_FILE).exists()


def test_unreadable_files_are_listed_all_at_once(folder, capsys):
    (folder / "bird/3.png").write_bytes(b"not a picture")
    data = (folder / "cat/4.png").read_bytes()
    (folder / "cat/4.png").write_bytes(data[:-30])
    os.symlink("nowhere.png", folder / "cat/lost.png")
    with pytest.raises(ValueError) as caught:
        _load(folder)
    message = str(caught.value)
    assert "3 of 61" in message and message.endswith(f"folder={folder}")
    for name in ("bird/3.png", "cat/4.png", "cat/lost.png"):
        assert f"{folder}/{name}: " in message

    train, validation = _load(folder, on_error="skip", verbose=True)
    printed = capsys.readouterr().out
    assert "Skipped 3 files" in printed and "bird/3.png: " in printed
    assert len(train.file_paths) + len(validation.file_paths) == 58
    for x, y in train.concatenate(validation):
        np.testing.assert_array_equal(x[:, 0, 0, 0], y)


def test_each_file_is_decoded_once(folder, monkeypatch):
    calls = []

    def counted(path, *args, **options):
        calls.append(path)
        return read_image(path, *args, **options)

    monkeypatch.setattr(image_decoding, "read_image", counted)
    train, validation = _load(folder)
    for _ in range(2):
        _colours(train), _colours(validation)
    assert len(calls) == 60


def test_images_beyond_the_memory_limit_are_read_again(folder, monkeypatch):
    expected = [_colours(dataset) for dataset in _load(folder)]
    kept = 25
    calls = []

    def counted(path, *args, **options):
        calls.append(path)
        return read_image(path, *args, **options)

    monkeypatch.setattr(image_decoding, "read_image", counted)
    datasets = _load(folder, memory_limit=kept * 8 * 8 * 3)
    assert datasets[0]._kept_images.nbytes == kept * 8 * 8 * 3
    assert len(calls) == 60
    assert [_colours(dataset) for dataset in datasets] == expected
    assert len(calls) == 60 + 60 - kept
    assert [_colours(d) for d in _load(folder, memory_limit=0)] == expected


def test_file_that_breaks_after_loading_is_named(folder):
    train, _ = _load(folder, memory_limit=0)
    pathlib.Path(train.file_paths[0]).write_bytes(b"broken")
    with pytest.raises(tf.errors.OpError, match=train.file_paths[0]):
        _colours(train)


def test_images_are_freed_with_the_datasets(folder):
    train, validation = _load(folder)
    images = weakref.ref(train._kept_images)
    mapped = train.map(lambda x, y: x)
    _colours(validation)
    del train, validation
    gc.collect()
    assert len(list(mapped)) and images() is not None
    del mapped
    gc.collect()
    assert images() is None


def test_what_is_left_out(folder, capsys):
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", ".hidden.png"):
        (folder / "cat" / name).write_bytes(b"x")
    _write(folder / "cat/deep/er/x.png", (1, 200, 100))
    _write(folder / ".cache/x.png", "red")
    _write(folder / "cat/.thumbnails/x.png", "red")
    _write(folder / "cover.jpg", "red")
    (folder / "empty").mkdir()
    train, validation = _load(folder, verbose=True)
    printed = capsys.readouterr().out
    assert "Found 61 images of 3 classes" in printed
    assert "1 .txt files" in printed
    assert "1 folders without images" in printed
    assert "1 images outside the class folders" in printed
    assert "db" not in printed and "hidden" not in printed
    paths = train.file_paths + validation.file_paths
    assert str(folder / "cat/deep/er/x.png") in paths


def test_links(folder, tmp_path_factory):
    os.symlink(folder, folder / "cat/up")
    os.symlink(folder / "cat", folder / "cat/self")
    os.symlink("/", folder / "cat/root")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    _write(elsewhere / "x.png", (1, 201, 100))
    os.symlink(elsewhere, folder / "cat/linked")
    os.symlink(elsewhere, folder / "cat/linked again")
    train, validation = _load(folder)
    assert len(train.file_paths) + len(validation.file_paths) == 61


def test_folders_that_are_no_class_folders(tmp_path, folder):
    def message(path, error=ValueError, **options):
        with pytest.raises(error) as caught:
            _load(path, **options)
        assert str(caught.value).endswith(f"Received: folder={path}")
        return str(caught.value)

    assert "no such folder" in message(tmp_path / "missing", FileNotFoundError)
    assert "no such folder" in message(
        tmp_path / "cat/1.png", FileNotFoundError
    )
    assert "lie directly in the folder" in message(tmp_path / "cat")
    (tmp_path / "empty").mkdir()
    assert "no readable images" in message(tmp_path / "empty")
    (tmp_path / "outer").mkdir()
    for name in ("bird", "cat"):
        shutil.move(folder / name, tmp_path / "outer")
    shutil.rmtree(tmp_path / "übrige Tiere")
    assert "only one class, 'outer'" in message(tmp_path)
    for name in ("train", "test"):
        shutil.copytree(tmp_path / "outer", tmp_path / "parts" / name)
    assert "finished split" in message(tmp_path / "parts")
    for path in (tmp_path / "outer/cat").iterdir():
        path.write_bytes(b"broken")
    assert "only one class, 'bird'" in message(
        tmp_path / "outer", on_error="skip"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": (0, 8)},
        {"image_size": (8, 8, 3)},
        {"image_size": 7.5},
        {"batch_size": 0},
        {"validation_split": 1},
        {"validation_split": -0.1},
        {"validation_split": "a fifth"},
        {"seed": -1},
        {"seed": None},
        {"background": "no such colour"},
        {"on_error": "ignore"},
        {"memory_limit": -1},
        {"split_by": "date"},
    ],
    ids=str,
)
def test_arguments_out_of_range(folder, options):
    [(name, value)] = options.items()
    with pytest.raises(ValueError) as caught:
        _load(folder, **options)
    assert str(caught.value).endswith(f"Received: {name}={value!r}")


def test_crop_and_pad_exclude_each_other(folder):
    both = dict(crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
    with pytest.raises(ValueError, match="Received: pad_to_aspect_ratio=True$"):
        _load(folder, **both)


def test_options_reach_the_images(tmp_path):
    for name in "ab":
        for i in range(2):
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGBA", (4, 8), (0, 0, 0, 0)).save(path)
    for i in range(3):
        _write(tmp_path / "c" / f"{i}.png", (0, i, 0))
    train, _ = _load(tmp_path, background=(10, 20, 30), validation_split=0)
    image = next(x[0] for x, y in train.unbatch().batch(1) if y[0] == 0)
    np.testing.assert_array_equal(image, np.tile([10.0, 20, 30], (8, 8, 1)))


def test_clipart14():
    files = {str(p): p.read_bytes() for p in CLIPART.glob("*/*.jpg")}
    options = dict(image_size=(96, 64), validation_split=0.25)
    train, validation = load_image_folder(CLIPART, verbose=False, **options)
    assert sorted(train.file_paths + validation.file_paths) == sorted(files)
    assert len(train.class_names) == 14
    assert not {files[p] for p in train.file_paths} & {
        files[p] for p in validation.file_paths
    }
    for dataset in (train, validation):
        found = {pathlib.Path(p).parent.name for p in dataset.file_paths}
        assert found == set(train.class_names)
    images, labels = next(iter(validation))
    for i in (0, 31):
        path = pathlib.Path(validation.file_paths[i])
        assert train.class_names[labels[i]] == path.parent.name
        plain = Image.open(path).convert("RGB").resize((64, 96), 2)
        np.testing.assert_allclose(images[i], np.asarray(plain), atol=8)
    assert not (CLIPART / SPLIT_FILE).exists()
