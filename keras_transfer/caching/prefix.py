"""What computes features, and what they are known by."""

import functools
from collections.abc import Callable

import tensorflow as tf

from keras_transfer.caching.engines.engine import make_engine
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.freezing.quiet_function import quiet_function

# It takes a second or two to make one, and saves a millisecond or two an
# example; and what is computed without one is the same to the bit.
_WORTH_AN_ENGINE = 1000
ENGINES = (
    "auto",
    "tensorflow",
    "openvino",
    "openvino_bfloat16",
    "litert",
    None,
)


class Prefix:
    """The frozen part of a model.

    Args:
        function: From a batch of inputs to a dictionary of tensors.
        digest: Gives a name for what it computes, the same in every process.
        engine: One of `ENGINES`. `None` is TensorFlow as it is.

    Attributes:
        function: As given.

    Raises:
        ValueError: If the engine is none of these.
    """

    def __init__(
        self,
        function: Callable,
        digest: Callable[[], str],
        engine: str | None = "auto",
    ):
        check_engine(engine)
        self.function = function
        self._digest = digest
        self._engine = engine
        self._is_chosen = engine != "auto"
        self._run = None

    @functools.cached_property
    def key(self) -> str:
        """A name for what it computes, on the engine that is chosen."""
        return f"{self._digest()} {self._engine}"

    @property
    def tolerance(self) -> float:
        """By how much its features may differ, as a share of the largest."""
        return 0.3 if self._engine == "openvino_bfloat16" else 0.05

    def choose_engine(self, count: int) -> None:
        """Choose an engine, if there is a choice, for good.

        Args:
            count: About how many examples there are. Few are computed sooner
                than an engine is made.
        """
        if not self._is_chosen:
            has_gpu = bool(tf.config.get_visible_devices("GPU"))
            if has_gpu or count < _WORTH_AN_ENGINE:
                self._engine = None
            self._is_chosen = True

    def start(self, inputs, folder: str | None = None) -> Callable:
        """Return a function that computes the same, fast.

        Args:
            inputs: The first batch of inputs.
            folder: Where to keep what the engine makes of it. Defaults to
                `None`, for this process.
        """
        if self._run is None and self._engine is None:
            self._run = quiet_function(self.function)
        if self._run is None:
            self._run = self._make(inputs, folder)
        return self._run

    def _make(self, inputs, folder) -> Callable:
        engine, _, precision = self._engine.partition("_")
        try:
            key = self.key
        except NoCutError:
            key = None
        return make_engine(
            self.function,
            inputs,
            engine=engine,
            precision=precision or "float32",
            key=key,
            folder=folder,
        )


def check_engine(engine: str | None) -> None:
    """Refuse what is none of `ENGINES`, with a `ValueError`."""
    if engine not in ENGINES:
        raise ValueError(
            f"`engine` must be one of {ENGINES}. Received: engine={engine!r}"
        )
