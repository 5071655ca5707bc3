"""Compute the frozen part of a model once for each example."""

import contextlib
import dataclasses
import functools
import types
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.tf_dataset_adapter import (
    make_class_weight_map_fn,
)
from keras.src.utils import io_utils

from keras_transfer.caching.cached_data import (
    CachedData,
    find_cached_data,
)
from keras_transfer.caching.cut import Cut
from keras_transfer.caching.examples import OrderedExamples
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.feature_table import FeatureTable, StoredRows
from keras_transfer.caching.fill_feature_table import (
    fill_feature_table,
    list_examples,
)
from keras_transfer.caching.mixup import mix_batch
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.caching.prefix import Prefix, check_engine
from keras_transfer.caching.seeding import seeded
from keras_transfer.callbacks.companion import find_companions
from keras_transfer.callbacks.compiled_epoch import hear_batches, is_quick
from keras_transfer.callbacks.data_replay import find_callbacks
from keras_transfer.callbacks.fit_data import FitData
from keras_transfer.callbacks.phase_cuts import (
    cut_for_phase,
    find_cuts_ahead,
)
from keras_transfer.freezing.freezable_model import Freezable
from keras_transfer.freezing.phase import Phase


class PrefixCache(keras.callbacks.Callback):
    """Lets `fit` train what is not frozen on cached features.

    As a phase of `GradualUnfreezing` begins, the model is cut where what is
    frozen ends. The tensors that leave the frozen part are computed once for
    each example, and `fit` is given these for the rest of the phase, in the
    order in which it would have had the examples. The model is the same one:
    losses, metrics, callbacks and weights are those of a training without it,
    to rounding. Where a phase cannot be cached, it trains as ever.

    Where a later phase is cut nearer to the input, the features of that cut
    are computed first, if there is room, and those of this phase from them:
    one pass over the examples serves all phases.

    It comes after `GradualUnfreezing` in the list.

    Args:
        train: The data that `fit` is given, a `tf.data.Dataset`.
        validation_data: The same, or `None`.
        cache: A `FeatureCache`, where to keep features.
        engine: The engine that computes them, as in `fine_tune`.
        views: How many augmented views of each example to keep, as
            `cached_views` of `fine_tune`.
        mixup: As in `fine_tune`.
        class_weight: What `fit` is given.
        seed: Seed for the order of data sets that are shuffled here. Defaults
            to `None`, for a random one.
        insists: Whether to cache also what hardly pays: a phase of a single
            epoch, or a part that is next to nothing.
    """

    def __init__(
        self,
        train,
        validation_data=None,
        *,
        cache: FeatureCache | None = None,
        engine: str | None = "auto",
        views: int | None = None,
        mixup: float = 0.0,
        class_weight: dict[int, float] | None = None,
        seed: int | None = None,
        insists: bool = False,
    ):
        super().__init__()
        self._train = train
        self._validation_data = validation_data
        check_engine(engine)
        self._cache = FeatureCache.of(cache)
        self._engine = engine
        self._views = views
        self._mixup = mixup
        self._class_weight = class_weight
        # Of NumPy, which `set_random_seed` seeds.
        self._seed = np.random.randint(2**31) if seed is None else seed
        self._insists = insists
        self._now = types.SimpleNamespace(epoch=0)
        self._fit_data = self._ahead = None

    def on_train_begin(self, logs=None):
        self._fit_data, self._ahead = FitData(self.model), None
        self._phase_number = None
        self._verbose = self.params.get("verbose")
        self.model._cut = None

    def on_epoch_begin(self, epoch, logs=None):
        self._now.epoch = epoch
        unfreezing = find_companions(self.model)["GradualUnfreezing"]
        if self._phase_number != unfreezing.phase_number:
            self._phase_number = unfreezing.phase_number
            # All of them, when going on as well: the order is that of then.
            later = unfreezing.phases[unfreezing.phase_number :]
            self._begin_phase(unfreezing.phase, later)

    def on_train_end(self, logs=None):
        self.release()

    def release(self) -> None:
        """Let go of cached data, but for that of the model's cut."""
        self._ahead = None
        if self._fit_data is not None:
            self._fit_data.release()

    def _begin_phase(self, phase: Phase, later: list[Phase]) -> None:
        before = self.model._cut
        try:
            cut = self._fill(phase, later)
        except NoCutError as reason:
            what = "cached, nor mixed" if self._mixup else "cached"
            cut, note = None, f"Not {what}: {reason}."
        else:
            note = _describe(cut, self._ahead)
        if self._verbose:
            io_utils.print_msg(note)
        if cut is not None or before is not None:
            self._train_on(cut)

    def _fill(self, phase: Phase, later: list[Phase]) -> Cut:
        model = self.model
        if model.distribute_strategy.num_replicas_in_sync > 1:
            raise NoCutError("the model trains on several replicas")
        if not (self._fit_data.is_found and isinstance(model, Freezable)):
            raise NoCutError("the model is of a class of its own")
        options = {
            "with_augmentation": self._views is not None,
            "insists": self._insists,
        }
        cut = cut_for_phase(model, phase, **options)
        if cut.augmentation and self._views > 1:
            self._fill_cut(cut, with_views=True)
            return cut
        ahead = find_cuts_ahead(model, cut, later, **options)
        self._look_ahead(ahead)
        self._fill_cut(cut)
        if not ahead:
            self._ahead = None
        return cut

    def _look_ahead(self, cuts: list[Cut]) -> None:
        """Go once through the images for several phases, if there is room."""
        ahead = self._ahead
        known = ahead and find_cached_data(ahead, self._train)
        if known and ahead.names in [cut.names for cut in cuts]:
            return
        for cut in cuts:
            with contextlib.suppress(NoCutError):
                self._fill_cut(cut)
                self._ahead = cut
                return

    def _fill_cut(self, cut: Cut, with_views: bool = False) -> None:
        prefixes = {}  # an engine is made once for all data
        if with_views:
            cut.cached = (self._compute_views(cut),)
        else:
            cut.cached = (self._compute(cut, self._train, prefixes),)
        if self._validation_data is not None:
            # Where it cannot be cached, the whole model takes it as ever.
            with contextlib.suppress(NoCutError):
                held_back = self._compute(cut, self._validation_data, prefixes)
                cut.cached = (*cut.cached, held_back)

    def _compute_views(self, cut: Cut) -> CachedData:
        run = functools.partial(cut.run_prefix, augments=True)
        key = f"augmented {self._seed}"
        prefix = Prefix(run, lambda: f"{cut.digest()} {key}", engine=None)
        examples = list_examples(self._train, self._views)
        with seeded(cut.augmentation, self._seed):
            return self._keep(cut, self._train, prefix, examples)

    def _compute(self, cut: Cut, data, prefixes: dict) -> CachedData:
        for start in filter(None, (self.model._cut, self._ahead)):
            known = find_cached_data(start, data)
            way = known and cut.from_another(start)
            if not way or known.table.views > 1:
                continue
            if start.names == cut.names:
                return known
            if not known.table.is_rounded:
                table = known.table
                prefix = prefixes.setdefault(start, self._start_at(start, cut))
                examples = OrderedExamples(
                    table.as_order(), table.shuffled_batches
                )
                return self._keep(
                    cut, data, prefix, examples, order=table.order
                )
        prefix = Prefix(cut.run_prefix, cut.digest, self._engine)
        prefix = prefixes.setdefault(None, prefix)
        return self._keep(cut, data, prefix, list_examples(data))

    def _start_at(self, start: Cut, cut: Cut) -> Prefix:
        def digest():
            return f"{cut.digest()} from {start.digest()} {self._engine}"

        return Prefix(cut.from_another(start), digest, self._engine)

    def _keep(self, cut, data, prefix, examples, **known) -> CachedData:
        has_bar = self._verbose not in (0, 2)
        table = fill_feature_table(
            prefix, examples, self._cache, verbose=has_bar
        )
        table = dataclasses.replace(table, **known)
        dataset = self._make_dataset(table)
        return CachedData(data, cut.weights, table, dataset)

    def _make_dataset(self, table, change=None) -> tf.data.Dataset:
        epochs = self._repeat_epoch()
        return table.make_dataset(self._seed, epochs=epochs, change=change)

    def _find_rows(self, table) -> tf.data.Dataset:
        return table.find_rows(self._seed, epochs=self._repeat_epoch())

    def _repeat_epoch(self) -> Iterator[int]:
        # Not by counting: Keras begins to iterate more often than it trains.
        now = self._now
        return iter(lambda: now.epoch, None)

    def _mix(self, batch, draw) -> tuple:
        if self._class_weight:
            # Keras does not do that where there are weights already.
            batch = make_class_weight_map_fn(self._class_weight)(*batch)
        return mix_batch(batch, self._mixup, draw)

    def _train_on(self, cut: Cut | None) -> None:
        """Let `fit` go on with what is cached at a cut, or all of it."""
        fit_data, class_weight = self._fit_data, self._class_weight
        self.model._cut = cut
        fit_data.restore()
        if cut is None:
            return
        cached, *rest = cut.cached
        if self._is_quick(cut, cached.table):
            rows = self._find_rows(cached.table)
            fit_data.train_by_epochs(rows, cached.table, class_weight)
        elif self._mixup:
            fit_data.train_on(self._make_dataset(cached.table, self._mix))
        else:
            fit_data.train_on(cached.dataset, class_weight)
        if rest and self._is_quick(cut, rest[0].table):
            rows = self._find_rows(rest[0].table)
            fit_data.validate_by_epochs(rows, rest[0].table)
        elif rest:
            fit_data.validate_on(rest[0].dataset)

    def _is_quick(self, cut: Cut, table: FeatureTable) -> bool:
        return (
            self._fit_data.knows_length
            and not self._mixup
            and not hear_batches(find_callbacks())
            and is_quick(self.model, table, cut.tail)
        )


def _describe(cut: Cut, ahead: Cut | None) -> str:
    tables = [cached.table for cached in cut.cached]
    count = sum(table.views * len(table.order.numbers) for table in tables)
    kind = "examples" if tables[0].views == 1 else "views"
    # A later phase may go on with the very same ones.
    tables = {id(cached.table): cached.table for cached in cut.cached}
    for cached in ahead.cached if ahead else ():
        tables[id(cached.table)] = cached.table
    size = sum(table.bytes for table in tables.values())
    places = {type(table.rows) for table in tables.values()}
    where = "on disk" if StoredRows in places else "in memory"
    return (
        f"Cached: the frozen part is computed once for each of {count:,} "
        f"{kind} ({size / 1e6:,.1f} MB {where})."
    )
