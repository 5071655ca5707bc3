"""Converted forms that are kept in this process."""

import threading
from collections import OrderedDict

_LIMIT = 256 * 2**20
_forms = OrderedDict()
_lock = threading.Lock()


def keep_form(name: str, content: bytes) -> None:
    """Keep a form, and let go of those that were used least lately.

    All of them together take up to 256 MiB; one that is larger is not kept.

    Args:
        name: Tells it from all others.
        content: What `read_form` shall return.
    """
    if len(content) > _LIMIT:
        return
    with _lock:
        _forms[name] = content
        while sum(map(len, _forms.values())) > _LIMIT:
            _forms.popitem(last=False)


def read_form(name: str) -> bytes | None:
    """Return what `keep_form` was given, or `None` if it is not there."""
    with _lock:
        if name in _forms:
            _forms.move_to_end(name)
        return _forms.get(name)
