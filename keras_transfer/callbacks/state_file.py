"""A file that is either whole or not there."""

import hashlib
import io
import json
import os

import numpy as np

_DIGEST_SIZE = hashlib.sha256().digest_size


def write_state(path: str, header: dict, arrays: list[np.ndarray]) -> None:
    """Put a file in place of the last one, in one step.

    A process that dies while writing leaves the last file as it was.

    Args:
        path: The file. Its folder is made.
        header: What JSON can hold.
        arrays: Arrays of numbers.
    """
    payload = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), "uint8")
    numbered = {str(n): array for n, array in enumerate(arrays)}
    np.savez(payload, header=text, **numbered)
    payload = payload.getbuffer()
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    unfinished = f"{path}.unfinished"
    with open(unfinished, "wb") as file:
        file.write(hashlib.sha256(payload).digest())
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def read_state(path: str) -> tuple[dict, list[np.ndarray]] | None:
    """Read what `write_state` wrote.

    Args:
        path: The file.

    Returns:
        Header and arrays, or `None` if there is no file.

    Raises:
        ValueError: If the file was changed since.
    """
    try:
        with open(path, "rb") as file:
            digest, payload = file.read(_DIGEST_SIZE), file.read()
    except FileNotFoundError:
        return None
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError(
            "The file with the state of the training is damaged: its content "
            "does not have the digest that it had. Put back a copy, or remove "
            f"it to start anew. Received: {path}"
        )
    with np.load(io.BytesIO(payload), allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes())
        return header, [file[str(n)] for n in range(len(file.files) - 1)]
