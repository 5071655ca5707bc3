"""Groups and exclusions reach the files that are meant."""

import os
import shutil
import types

import pytest
from PIL import Image

from keras_transfer.data.image_folder import load_image_folder
from keras_transfer.data.split_keys import find_groups, leave_out


@pytest.fixture
def folder(tmp_path):
    """Two classes of 30 images; each has a colour of its own."""
    for number, name in enumerate(["cat", "übrige"]):
        (tmp_path / name).mkdir()
        for i in range(30):
            image = Image.new("RGB", (4, 4), (number, i, 0))
            image.save(tmp_path / name / f"{i}.png")
    return tmp_path


def _sides(folder, **options):
    options = {"image_size": 4, "verbose": False, "split_file": None} | options
    train, validation = load_image_folder(folder, **options)
    return dict.fromkeys(train.file_paths, False) | dict.fromkeys(
        validation.file_paths, True
    )


def test_groups_stay_together_and_others_where_they_were(folder):
    groups = {
        str(folder / "cat/1.png"): "one",
        "cat/2.png": "one",
        "übrige/3.png": "one",
        "cat/4.png": "alone",
    }
    shutil.copy(folder / "cat/2.png", folder / "übrige/copy of 2.png")
    together = {
        str(folder / name)
        for name in "cat/1.png cat/2.png übrige/3.png".split()
    } | {str(folder / "übrige/copy of 2.png")}
    apart = 0
    for seed in range(12):
        plain = _sides(folder, seed=seed)
        grouped = _sides(folder, seed=seed, groups=groups)
        assert len({grouped[path] for path in together}) == 1
        apart += len({plain[path] for path in together}) > 1
        for path in plain.keys() - together:
            assert grouped[path] == plain[path]
    assert apart  # or nothing was shown
    assert _sides(folder, groups={}) == _sides(folder)


def test_groups_combine_with_what_files_are_split_by(folder):
    shutil.copy(folder / "cat/7.png", folder / "übrige/copy.png")
    groups = {"cat/1.png": "g", "cat/2.png": "g"}
    for seed in range(6):
        sides = _sides(folder, seed=seed, split_by="name", groups=groups)
        by_name = {os.path.relpath(p, folder): s for p, s in sides.items()}
        for names in (
            "cat/1.png cat/2.png übrige/1.png übrige/2.png",
            "cat/7.png übrige/7.png übrige/copy.png",
        ):
            assert len({by_name[name] for name in names.split()}) == 1


def test_groups_hold_in_small_classes(folder):
    for name in ("1", "2", "3", "4"):
        (folder / "small").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (9, 9, int(name))).save(
            folder / f"small/{name}.png"
        )
    groups = {"small/1.png": "g", "small/2.png": "g", "small/3.png": "g"}
    for seed in range(6):
        options = dict(seed=seed, groups=groups, split_file="auto")
        sides = _sides(folder, **options)
        first, second, third, fourth = (
            sides[str(folder / f"small/{i}.png")] for i in range(1, 5)
        )
        assert first == second == third != fourth
        (folder / "small/5.png").unlink(missing_ok=True)
        Image.new("RGB", (4, 4), (9, 10, seed)).save(folder / "small/5.png")
        again = _sides(folder, **options)
        assert {path: again[path] for path in sides} == sides
        (folder / "small/5.png").unlink()


def test_excluded_files_are_left_out(folder, capsys):
    unwanted = [folder / "cat/3.png", "übrige/4.png", str(folder / "no.png")]
    (folder / "cat/0.png").write_bytes(b"broken")
    sides = _sides(folder, exclude=[*unwanted, "cat/0.png"], verbose=True)
    assert "3 excluded images" in capsys.readouterr().out
    assert len(sides) == 57
    assert not {str(folder / "cat/3.png"), str(folder / "übrige/4.png")} & {
        *sides
    }
    rest = {path: side for path, side in sides.items() if "cat/1" in path}
    for i in (0, 3, 4):
        (folder / f"cat/{i}.png").unlink()
    after = _sides(folder)
    assert {path: after[path] for path in rest} == rest


def test_paths_from_where_one_stands(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    named = f"{folder.name}/cat/3.png"
    assert leave_out([named], [named], folder.name) == {named}
    report = types.SimpleNamespace(groups={named: 7})
    absolute = str(folder / "cat/3.png")
    assert find_groups(report, [absolute], str(folder)) == {absolute: "7"}


@pytest.mark.parametrize(
    "options",
    [
        {"groups": {"elsewhere/1.png": "a"}},
        {"exclude": ["elsewhere/1.png"]},
        {"groups": ["cat/1.png"]},
        {"exclude": "cat/1.png"},
    ],
    ids=str,
)
def test_paths_of_something_else(folder, options):
    [name] = options
    with pytest.raises(ValueError, match=f"Received: {name}"):
        _sides(folder, **options)
