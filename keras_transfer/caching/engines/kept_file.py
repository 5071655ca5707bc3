"""A file of bytes that is kept as long as it can be: whole or not there."""

import contextlib
import hashlib
import os
import uuid

_DIGEST_SIZE = hashlib.blake2b().digest_size


def keep_file(path: str, content: bytes) -> None:
    """Write a file in one step, or leave it where that cannot be done.

    Args:
        path: The file. Its folder is made.
        content: What `read_kept` shall return.
    """
    unfinished = f"{path}.{uuid.uuid4().hex}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(unfinished, "wb") as file:
            file.write(hashlib.blake2b(content).digest())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        # It is quicker with the file, and right without it.
        with contextlib.suppress(OSError):
            os.remove(unfinished)


def read_kept(path: str) -> bytes | None:
    """Read what `keep_file` wrote.

    Args:
        path: The file.

    Returns:
        The content, or `None` if there is none or it is damaged.
    """
    try:
        with open(path, "rb") as file:
            digest, content = file.read(_DIGEST_SIZE), file.read()
    except OSError:
        return None
    return content if hashlib.blake2b(content).digest() == digest else None
