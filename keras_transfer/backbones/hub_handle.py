"""From a TF Hub handle to a SavedModel in memory."""

import hashlib
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

# What makes up a SavedModel. A handle can be a folder that holds more.
_PARTS = (
    "saved_model.pb",
    "saved_model.pbtxt",
    "fingerprint.pb",
    "tfhub_module.pb",
    "variables",
    "assets",
)
_LIVE = weakref.WeakSet()


class HandleError(ValueError):
    """A handle that cannot be resolved, or does not hold a SavedModel."""


class SavedModelFolder:
    """A folder with a SavedModel.

    Args:
        path: The folder.
        handle: What the user calls it. Defaults to the path.
        temporary: Whether the folder is to be removed together with this
            object.
    """

    def __init__(
        self, path: str, handle: str | None = None, *, temporary: bool = False
    ):
        self.path = path
        self.handle = handle or path
        self.fingerprint = _fingerprint(path)
        if temporary:
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        _LIVE.add(self)

    def is_intact(self) -> bool:
        """Say whether the folder still holds what it held."""
        try:
            return _fingerprint(self.path) == self.fingerprint
        except OSError:
            return False

    def copy_to(self, target: str) -> None:
        """Copy the SavedModel, and nothing else the folder may hold."""
        os.makedirs(target, exist_ok=True)
        for name in _PARTS:
            source = os.path.join(self.path, name)
            if os.path.isdir(source):
                shutil.copytree(source, os.path.join(target, name))
            elif os.path.exists(source):
                shutil.copy(source, target)


def keep_copy(path: str) -> SavedModelFolder:
    """Copy a SavedModel to a temporary folder that lives as long as needed.

    Args:
        path: A folder with a SavedModel, which may vanish afterwards.

    Returns:
        A `SavedModelFolder`.
    """
    target = tempfile.mkdtemp(prefix="keras_transfer_")
    SavedModelFolder(path).copy_to(target)
    return SavedModelFolder(target, temporary=True)


def find_saved_model(
    handle: str, fingerprint: str | None = None
) -> SavedModelFolder:
    """Find the SavedModel that a handle stands for, fetching it if need be.

    Args:
        handle: A folder, or what `tensorflow_hub.resolve` accepts.
        fingerprint: If given and a SavedModel with this fingerprint is in use
            in this process, that one is taken and the handle not looked at.

    Returns:
        A `SavedModelFolder`.

    Raises:
        HandleError: If the handle cannot be resolved, with the reason.
    """
    for folder in list(_LIVE):
        if folder.fingerprint == fingerprint and folder.is_intact():
            return folder
    path = os.path.expanduser(handle)
    if not os.path.isdir(path):
        path = _resolve(handle)
    if not any(os.path.exists(os.path.join(path, name)) for name in _PARTS[:2]):
        is_folder = os.path.isdir(path)
        content = sorted(os.listdir(path))[:8] if is_folder else "no folder"
        raise HandleError(
            f"{path} is not a SavedModel: there is no saved_model.pb in it. "
            "Pass the folder that holds this file (`tf.saved_model.save` and "
            "`model.export` make one); a `.keras` file is loaded with "
            "`keras.models.load_model`. "
            f"Received: handle={handle!r} (which holds {content})"
        )
    return SavedModelFolder(os.path.abspath(path), handle)


def load_saved_model(
    folder: SavedModelFolder,
    existing: Mapping[int, tf.Variable] | None = None,
) -> tuple[Any, list[tf.Variable]]:
    """Load a SavedModel, into variables that exist already if so wished.

    Args:
        folder: Where it lies.
        existing: Variables to use instead of new ones, each under the
            position at which the new one would be created. One whose shape or
            dtype does not fit is left aside. They take on the values that the
            SavedModel holds.

    Returns:
        The loaded object, and its variables in the order of their creation.

    Raises:
        HandleError: If TensorFlow cannot load it.
    """
    existing = existing or {}
    created = []

    def create(next_creator, **kwargs):
        variable = existing.get(len(created))
        if variable is None or (
            variable.shape != tf.TensorShape(kwargs["shape"])
            or variable.dtype != kwargs["dtype"]
        ):
            variable = next_creator(**kwargs)
        created.append(variable)
        return variable

    # A module of the TF1 Hub format holds several graphs; the one without
    # tags is for inference.
    is_tf1_hub = os.path.exists(os.path.join(folder.path, "tfhub_module.pb"))
    tags = [] if is_tf1_hub else None
    try:
        # Without the scope of the Keras layer that is being built.
        with tf.init_scope(), tf.name_scope(""):
            with tf.variable_creator_scope(create):
                loaded = tf.saved_model.load(folder.path, tags)
    except Exception as error:
        raise HandleError(
            "TensorFlow cannot load this SavedModel "
            f"({type(error).__name__}: {error}). If an operation is unknown, "
            "import the package that defines it first (`tensorflow_text` for "
            "most text models); if a file is missing, fetch the SavedModel "
            f"anew. Received: handle={folder.handle!r} (in {folder.path})"
        ) from error
    return loaded, created


def _resolve(handle: str) -> str:
    try:
        with warnings.catch_warnings():
            # tensorflow-hub 0.16.1 compares versions with pkg_resources.
            warnings.filterwarnings("ignore", message=".*pkg_resources")
            import tensorflow_hub
    except ImportError as error:
        raise HandleError(
            "This handle is not a folder on this machine, and the package "
            f"that could fetch it does not import ({error}). Run `pip install "
            "tensorflow-hub 'setuptools<81'`, or download the SavedModel and "
            f"pass its folder. Received: handle={handle!r}"
        ) from error
    try:
        return tensorflow_hub.resolve(handle)
    except Exception as error:
        raise HandleError(
            "This handle is not a folder on this machine, and cannot be "
            f"fetched ({type(error).__name__}: {error}). Expected a folder "
            "with a saved_model.pb, the address of a model at tfhub.dev or "
            "kaggle.com, or the URL of a `.tar.gz` of the folder. Without "
            "internet, download the model elsewhere and pass its folder. "
            f"Received: handle={handle!r}"
        ) from error


def _fingerprint(path: str) -> str:
    """Identify a SavedModel by its graph and the checksums of its weights."""
    digest = hashlib.sha256()
    for name in (*_PARTS[:2], "variables/variables.index"):
        file = os.path.join(path, name)
        if os.path.exists(file):
            with open(file, "rb") as stream:
                digest.update(stream.read())
    return digest.hexdigest()[:32]
