"""What `fine_tune` is told about its cache."""

import math
import numbers

from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.prefix import check_engine


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
