from collections import OrderedDict

import pytest

from keras_transfer.caching.engines import kept_forms
from keras_transfer.caching.engines.kept_forms import keep_form, read_form


@pytest.fixture(autouse=True)
def ten_bytes(monkeypatch):
    monkeypatch.setattr(kept_forms, "_LIMIT", 10)
    monkeypatch.setattr(kept_forms, "_forms", OrderedDict())


def test_what_is_kept_is_read():
    keep_form("a", b"content")
    assert read_form("a") == b"content"
    assert read_form("b") is None


def test_what_was_used_least_lately_goes():
    for name in "ab":
        keep_form(name, b"12345")
    assert read_form("a")
    keep_form("c", b"12345")
    assert [read_form(name) for name in "abc"] == [b"12345", None, b"12345"]


def test_what_is_too_large_is_not_kept():
    keep_form("a", b"12345678901")
    assert read_form("a") is None
