"""From handles to SavedModels: folders, URLs, and what goes wrong."""

import functools
import gc
import http.server
import os
import shutil
import sys
import tarfile
import threading

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.backbones.hub_handle import (
    HandleError,
    find_saved_model,
    keep_copy,
    load_saved_model,
)
from keras_transfer.backbones.hub_layer import HubLayer
from tests.backbones import saved_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain"
    return saved_models.save_without_training_argument(path)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve the folder `www` of the test's own on this machine."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "www").mkdir()
    handler = functools.partial(_Quiet, directory=str(tmp_path / "www"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(server, name):
    return f"http://127.0.0.1:{server.server_port}/{name}"


# tensorflow-hub 0.16.1 does not close the response it has read.
def test_packed_saved_model_from_a_url(tmp_path, server, folder):
    with tarfile.open(tmp_path / "www" / "plain.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    url = address(server, "plain.tar.gz")
    x = tf.ones([2, 4])
    expected = HubLayer(folder)(x)
    np.testing.assert_array_equal(HubLayer(url)(x), expected)
    (tmp_path / "www" / "plain.tar.gz").unlink()
    np.testing.assert_array_equal(HubLayer(url)(x), expected)
    gc.collect()


def test_url_that_does_not_answer(server):
    missing = address(server, "missing.tar.gz")
    with pytest.raises(HandleError, match="404.*Without internet") as error:
        find_saved_model(missing)
    assert str(error.value).endswith(f"Received: handle={missing!r}")
    gc.collect()


def test_host_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ValueError, match="URLError.*Received: handle='http"):
        HubLayer("http://127.0.0.1:9/model.tar.gz")


def test_folder_that_does_not_exist():
    with pytest.raises(ValueError, match="does not exist.*handle='no/folder'"):
        HubLayer("no/folder")


def test_folder_without_a_saved_model(tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(HandleError, match=r"holds \['model.keras'\]"):
        find_saved_model(str(tmp_path))


def test_broken_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"not a protocol buffer")
    with pytest.raises(ValueError, match="cannot load.*Received: handle="):
        HubLayer(tmp_path)


def test_tensorflow_hub_that_does_not_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    with pytest.raises(HandleError, match="pip install tensorflow-hub"):
        find_saved_model("https://tfhub.dev/google/x/1")


def test_warning_of_its_import_is_kept_from_the_user(
    tmp_path, monkeypatch, folder
):
    (tmp_path / "tensorflow_hub.py").write_text(
        "import warnings\n"
        "warnings.warn('pkg_resources is deprecated as an API.')\n"
        f"resolve = {{'a handle': {folder!r}}}.get\n"
    )
    monkeypatch.delitem(sys.modules, "tensorflow_hub", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert find_saved_model("a handle").path == folder
    monkeypatch.delitem(sys.modules, "tensorflow_hub")


def test_folder_needs_no_tensorflow_hub(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    assert find_saved_model(folder).path == folder


def test_copy_takes_the_saved_model_only(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "source")
    (tmp_path / "source" / "checkpoint-of-another-sort").touch()
    copy = keep_copy(str(tmp_path / "source"))
    assert "checkpoint-of-another-sort" not in os.listdir(copy.path)
    assert copy.fingerprint == find_saved_model(folder).fingerprint
    path = copy.path
    del copy
    gc.collect()
    assert not os.path.exists(path)


def test_fingerprint_finds_what_is_in_use(tmp_path, folder):
    copy = keep_copy(folder)
    fingerprint = copy.fingerprint
    assert find_saved_model("gone", fingerprint) is copy
    shutil.rmtree(os.path.join(copy.path, "variables"))
    assert not copy.is_intact()
    del copy
    gc.collect()
    with pytest.raises(HandleError):
        find_saved_model("gone", fingerprint)


def test_other_weights_make_another_fingerprint(tmp_path):
    loaded = tf.saved_model.load(saved_models.save_conv_net(tmp_path / "one"))
    loaded.net.kernel.assign(2 * loaded.net.kernel)
    tf.saved_model.save(loaded, str(tmp_path / "two"))
    pb = (tmp_path / "one" / "saved_model.pb").read_bytes()
    (tmp_path / "two" / "saved_model.pb").write_bytes(pb)
    one, two = (find_saved_model(str(tmp_path / n)) for n in ("one", "two"))
    assert one.fingerprint != two.fingerprint


def test_load_into_existing_variables(folder):
    folder = find_saved_model(folder)
    loaded, created = load_saved_model(folder)
    position = [v is loaded.top.w for v in created].index(True)
    mine = tf.Variable(tf.zeros([4, 4]))
    again, _ = load_saved_model(folder, {position: mine})
    assert again.top.w is mine
    np.testing.assert_array_equal(mine, loaded.top.w)
    mine.assign(2 * mine)
    x = tf.ones([1, 4])
    np.testing.assert_allclose(again(x), 2 * loaded(x), atol=1e-6)
    misfit = tf.Variable(tf.zeros([5]))
    again, _ = load_saved_model(folder, {position: misfit})
    assert again.top.w is not misfit
