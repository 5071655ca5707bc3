"""Compute the frozen part of a model once for each example."""

import contextlib
import dataclasses
import functools
import types
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from keras.src.trainers.data_adapters.tf_dataset_adapter import (
    make_class_weight_map_fn,
)
from keras.src.utils import io_utils

from keras_transfer.caching.cached_data import (
    CachedData,
    find_cached_data,
)
from keras_transfer.caching.compute_share import estimate_share
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
from keras_transfer.callbacks.compiled_epoch import (
    compile_epoch,
    hear_batches,
    is_quick,
    whole_epochs,
)
from keras_transfer.callbacks.data_replay import (
    find_callbacks,
    find_epoch_iterator,
)
from keras_transfer.freezing.freezable_model import Freezable

_LEAST_SHARE = 0.05


class PrefixCache(keras.callbacks.Callback):
    """Lets `fit` train what is not frozen on cached features.

    As a phase of `GradualUnfreezing` begins, the model is cut where what is
    frozen ends. The tensors that leave the frozen part are computed once for
    each example, and `fit` is given these for the rest of the phase, in the
    order in which it would have had the examples. The model is the same one:
    losses, metrics, callbacks and weights are those of a training without it,
    to rounding. Where a phase cannot be cached, it trains as ever.

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
        self._epoch_iterator = None

    def on_train_begin(self, logs=None):
        self._epoch_iterator = find_epoch_iterator()
        if self._epoch_iterator is not None:
            self._examples = self._epoch_iterator._distributed_dataset
            # Where not, Keras makes a step in vain at the end of each epoch,
            # which draws random numbers.
            self._knows_length = self._epoch_iterator.num_batches is not None
        self._phase_number = None
        self._verbose = self.params.get("verbose")
        self.model._cut = None

    def on_epoch_begin(self, epoch, logs=None):
        self._now.epoch = epoch
        unfreezing = find_companions(self.model)["GradualUnfreezing"]
        if self._phase_number != unfreezing.phase_number:
            self._phase_number = unfreezing.phase_number
            # All of them, when going on as well: the order is that of then.
            self._begin_phase(unfreezing.phase.epochs)

    def on_train_end(self, logs=None):
        self.release()

    def release(self) -> None:
        """Let go of cached data, but for that of the model's cut."""
        if self._epoch_iterator is not None:
            # They hold the data, and another `fit` would use them.
            self.model.train_function = self.model.test_function = None
            self.model._eval_epoch_iterator = None

    def _begin_phase(self, epochs: int) -> None:
        before = self.model._cut
        try:
            cut = self._fill(epochs, before)
        except NoCutError as reason:
            cut, note = None, f"Not cached: {reason}."
        else:
            note = _describe(cut)
        if self._verbose:
            io_utils.print_msg(note)
        if cut is not None or before is not None:
            self._train_on(cut)

    def _fill(self, epochs: int, before: Cut | None) -> Cut:
        model = self.model
        if model.distribute_strategy.num_replicas_in_sync > 1:
            raise NoCutError("the model trains on several replicas")
        if self._epoch_iterator is None or not isinstance(model, Freezable):
            raise NoCutError("the model is of a class of its own")
        cut = Cut(model, with_augmentation=self._views is not None)
        if not self._insists:
            _check_worth(cut, epochs)
        prefix = Prefix(cut.run_prefix, cut.digest, self._engine)
        compute = functools.partial(self._compute, cut, before, prefix)
        if cut.augmentation and self._views > 1:
            cut.cached = (self._compute_views(cut),)
        else:
            cut.cached = (compute(self._train),)
        if self._validation_data is not None:
            # Where it cannot be cached, the whole model takes it as ever.
            with contextlib.suppress(NoCutError):
                cut.cached = (*cut.cached, compute(self._validation_data))
        return cut

    def _compute_views(self, cut: Cut) -> CachedData:
        run = functools.partial(cut.run_prefix, augments=True)
        key = f"augmented {self._seed}"
        prefix = Prefix(run, lambda: f"{cut.digest()} {key}", engine=None)
        examples = list_examples(self._train, self._views)
        with seeded(cut.augmentation, self._seed):
            return self._keep(cut, self._train, prefix, examples)

    def _compute(self, cut, before, prefix, data) -> CachedData:
        known = before and find_cached_data(before, data)
        way = known and cut.from_another(before)
        if not way or known.table.views > 1:
            return self._keep(cut, data, prefix, list_examples(data))
        prefix = Prefix(way, cut.digest, self._engine)
        old = known.table
        examples = OrderedExamples(old.as_order(), old.shuffled_batches)
        return self._keep(cut, data, prefix, examples, order=old.order)

    def _keep(self, cut, data, prefix, examples, **known) -> CachedData:
        has_bar = self._verbose not in (0, 2)
        table = fill_feature_table(
            prefix, examples, self._cache, verbose=has_bar
        )
        table = dataclasses.replace(table, **known)
        dataset = self._make_dataset(table)
        return CachedData(data, cut.digest_weights(), table, dataset)

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
        model, iterator = self.model, self._epoch_iterator
        model._cut = cut
        iterator.steps_per_execution = model.steps_per_execution
        model.make_train_function(force=True)
        model.make_test_function(force=True)
        # Keras 3.15 has no way to give `fit` other data in its middle.
        iterator._distributed_dataset = self._examples
        model._eval_epoch_iterator = None
        if cut is None:
            return
        cached, *rest = cut.cached
        if self._is_quick(cut, cached.table):
            self._train_by_epochs(cached.table)
        elif self._mixup:
            dataset = self._make_dataset(cached.table, self._mix)
            iterator._distributed_dataset = dataset
        else:
            weighted = self._make_epochs(cached.dataset, self._class_weight)
            iterator._distributed_dataset = weighted._distributed_dataset
        if rest and self._is_quick(cut, rest[0].table):
            self._test_by_epochs(rest[0].table)
        elif rest:
            model._eval_epoch_iterator = self._make_epochs(rest[0].dataset)

    def _is_quick(self, cut: Cut, table: FeatureTable) -> bool:
        return (
            self._knows_length
            and not self._mixup
            and not hear_batches(find_callbacks())
            and is_quick(self.model, table, cut.tail)
        )

    def _train_by_epochs(self, table: FeatureTable) -> None:
        model, iterator = self.model, self._epoch_iterator
        step = model.train_step
        if self._class_weight:
            weigh = make_class_weight_map_fn(self._class_weight)

            def step(batch):
                return model.train_step(weigh(*batch))

        rows = self._find_rows(table)
        iterator.steps_per_execution = int(rows.cardinality())
        iterator._distributed_dataset = whole_epochs(rows)
        model.train_function = compile_epoch(
            model, step, table, model.train_function
        )

    def _test_by_epochs(self, table: FeatureTable) -> None:
        model = self.model
        rows = self._find_rows(table)
        iterator = self._make_epochs(whole_epochs(rows))
        model._eval_epoch_iterator = iterator
        model.test_function = compile_epoch(
            model, model.test_step, table, model.test_function
        )

    def _make_epochs(self, dataset, class_weight=None) -> TFEpochIterator:
        return TFEpochIterator(
            x=dataset,
            class_weight=class_weight,
            shuffle=False,
            distribute_strategy=self.model.distribute_strategy,
            steps_per_execution=self.model.steps_per_execution,
        )


def _check_worth(cut: Cut, epochs: int) -> None:
    if epochs < 2:
        raise NoCutError("the phase lasts a single epoch")
    share = estimate_share(cut.steps, cut.tail)
    if share < _LEAST_SHARE:
        raise NoCutError(
            f"the frozen part is {share:.0%} of the work of a step, less than "
            "it takes to read what it gives"
        )


def _describe(cut: Cut) -> str:
    tables = [cached.table for cached in cut.cached]
    count = sum(table.views * len(table.order.numbers) for table in tables)
    size = sum(table.bytes for table in tables)
    kind = "examples" if tables[0].views == 1 else "views"
    places = {type(table.rows) for table in tables}
    where = "on disk" if StoredRows in places else "in memory"
    return (
        f"Cached: the frozen part is computed once for each of {count:,} "
        f"{kind} ({size / 1e6:,.1f} MB {where})."
    )
