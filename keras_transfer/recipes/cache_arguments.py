"""What `fine_tune` is told about its cache."""

import math
import numbers

from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.prefix import check_engine
from keras_transfer.callbacks.prefix_cache import PrefixCache


def read_cache_arguments(cache, engine, cached_views, mixup) -> dict | None:
    """Check what `fine_tune` is told about its cache.

    Args:
        cache: As of `fine_tune`.
        engine: As of `fine_tune`.
        cached_views: As of `fine_tune`.
        mixup: As of `fine_tune`.

    Returns:
        Keyword arguments for `PrefixCache`, or `None` for no cache.

    Raises:
        ValueError: If an argument is not as described there.
    """
    if cache is None:
        raise ValueError(
            '`cache` must be "auto", `True`, `False`, a folder or a '
            "`kt.FeatureCache`. Received: cache=None"
        )
    is_word = cache == "auto" or isinstance(cache, bool)
    feature_cache = FeatureCache.of(None if is_word else cache)
    check_engine(engine)
    if cached_views is not None and not (
        isinstance(cached_views, numbers.Integral) and cached_views >= 1
    ):
        raise ValueError(
            "`cached_views` must be an integer, 1 or more, or `None`. "
            f"Received: cached_views={cached_views!r}"
        )
    if not isinstance(mixup, numbers.Real) or not 0 <= mixup < math.inf:
        raise ValueError(
            f"`mixup` must be a number, 0 or more. Received: mixup={mixup!r}"
        )
    if cache is not False:
        return {
            "cache": feature_cache,
            "engine": engine,
            "views": cached_views,
            "mixup": mixup,
            "insists": cache != "auto",
        }
    if cached_views or mixup:
        raise ValueError(
            "`cached_views` and `mixup` are about cached features. "
            f"Received: cache=False, cached_views={cached_views}, "
            f"mixup={mixup}"
        )
    return None


def make_cache(
    arguments: dict | None, *data, has_solver: bool, **options
) -> PrefixCache | None:
    """Make the callback that caches, if there is to be one.

    Args:
        arguments: From `read_cache_arguments`.
        *data: As for `PrefixCache`.
        has_solver: Whether a phase has a solver.
        **options: As for `PrefixCache`.
    """
    if arguments is None:
        return None
    # A solver reads the features once more than the epoch does.
    insists = arguments["insists"] or has_solver
    return PrefixCache(*data, **{**arguments, **options, "insists": insists})
