"""Which pretrained network suits a task, before any of them is trained."""

import math
import os
import time
from collections.abc import Iterable, Mapping

import keras
import numpy as np
from keras.src.utils import io_utils

from keras_transfer.caching.cache_features import cache_features
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.data.labelled_data import read_data
from keras_transfer.freezing.quiet_function import quiet_function
from keras_transfer.insight.backbone_ranking import BackboneRanking
from keras_transfer.insight.candidates import (
    Candidate,
    name_candidates,
    open_candidate,
    pool_candidate,
)
from keras_transfer.insight.ridge_probe import fit_ridge_probe
from keras_transfer.insight.sample_examples import sample_examples
from keras_transfer.insight.scorers.h_score import h_score
from keras_transfer.insight.scorers.leep import leep
from keras_transfer.insight.scorers.log_me import log_me
from keras_transfer.insight.scorers.nce import nce

_BATCH_SIZE = 32
_TIMED_BATCHES = 5  # where features may come from a cache
_SAME_SPEED = 1.1


def rank_backbones(
    data,
    candidates: Iterable[Candidate] | Mapping[str, Candidate],
    *,
    most_examples: int = 2000,
    cache: FeatureCache | str | os.PathLike | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> BackboneRanking:
    """Rank pretrained networks for a task, without training any of them.

    Each candidate sees the examples once. Its features are scored by a linear
    probe, tested on every example with a probe that was fitted without it
    (`fit_ridge_probe`), by LogME (You et al. 2021) and by the H-score with a
    shrunk covariance (Ibrahim et al. 2022). The probe decides.

    A `keras.Model` with a softmax head is also scored by what that head says,
    with LEEP (Nguyen et al. 2020) and NCE (Tran et al. 2019). These two rank
    badly networks whose old classes differ, and decide nothing.

    Example:

    ```python
    train, validation = kt.load_image_folder("photos")
    ranking = kt.rank_backbones(
        train, ["bundled:efficientnet_lite0", "MobileNetV2", "ResNet50"]
    )
    print(ranking)
    model = kt.build_classifier(
        kt.load_backbone(ranking.recommended), train.class_names
    )
    ```

    Args:
        data: Labelled examples of one shape and one class each, for images
            raw RGB in [0, 255]: a `tf.data.Dataset` or
            `keras.utils.PyDataset` of batches `(x, y)`, a tuple of arrays
            `(x, y)`, or the pair that `load_image_folder` returns, of which
            the first is used.
        candidates: A list of names or handles as for `load_backbone` (loaded
            for the size of the images), of `Backbone`s and of `keras.Model`s;
            or a dict of these by the names that they are to have here.
        most_examples: How many examples to use at most, drawn so that each
            class keeps its share. They are held in memory. Defaults to 2000.
        cache: A `FeatureCache` or folder to keep features in, for other
            calls. Without it, nothing is kept.
        seed: Seed for the choice of examples. Defaults to 0.
        verbose: Whether to print a line for each candidate.

    Returns:
        A `BackboneRanking` with `rows`, `best`, `recommended` and `plot()`,
        which prints as a table. A candidate that cannot be used is in it,
        with the reason.

    Raises:
        ValueError: If data or candidates are not as described, examples are
            fewer than two or all of one class, or no candidate can be used.
    """
    named = name_candidates(candidates)
    if most_examples < 2:
        raise ValueError(
            "There must be two examples or more. "
            f"Received: most_examples={most_examples}"
        )
    x, y = sample_examples(read_data(data)[0], most_examples, seed)
    present, y = np.unique(y, return_inverse=True)
    if len(present) < 2:
        raise ValueError(
            "There must be examples of two classes or more. Received: data "
            f"with {len(y)} examples, all of the same class"
        )
    rows, answers = [], {}
    for number, (name, candidate) in enumerate(named.items(), 1):
        row = dict.fromkeys(_FIELDS) | {"candidate": name}
        # One that does not load, or does not fit, must not cost the others.
        try:
            scores, answers[name] = _score(candidate, x, y, cache)
            row |= scores
        except Exception as error:
            row["error"] = f"{error}" or type(error).__name__
        rows.append(row)
        if verbose:
            found = row["error"] or f"probe {row['probe']:.1%}"
            io_utils.print_msg(f"{number}/{len(named)} {name}: {found}")
    if not answers:
        reasons = "; ".join(f"{r['candidate']}: {r['error']}" for r in rows)
        raise ValueError(
            f"No candidate can be used. Received: candidates={list(named)}, "
            f"which failed: {reasons}"
        )
    rows.sort(key=_rank)
    return BackboneRanking(
        rows, _recommend(rows, answers), len(y), len(present)
    )


_FIELDS = (
    "candidate",
    "probe",
    "spread",
    "log_me",
    "h_score",
    "leep",
    "nce",
    "feature_dim",
    "parameters",
    "milliseconds",
    "error",
)


def _score(candidate, x, y, cache) -> tuple[dict, np.ndarray]:
    """Return the scores of a candidate, and where its probe was right."""
    backbone = open_candidate(candidate, x.shape[1:])
    network = pool_candidate(candidate, backbone)
    described, milliseconds = _describe(network, x, y, cache)
    features = described[:, : backbone.feature_dim]
    probe = fit_ridge_probe(features, y)
    right = probe.left_out.argmax(axis=1) == y
    row = {
        "probe": probe.accuracy,
        "spread": math.sqrt(probe.accuracy * (1 - probe.accuracy) / len(y)),
        "log_me": log_me(features, y),
        "h_score": h_score(features, y),
        "feature_dim": backbone.feature_dim,
        "parameters": backbone.model.count_params() / 1e6,
        "milliseconds": milliseconds,
    }
    probabilities = described[:, backbone.feature_dim :]
    if probabilities.size:
        row |= {"leep": leep(probabilities, y), "nce": nce(probabilities, y)}
    return row, right


def _describe(network, x, y, cache) -> tuple[np.ndarray, float]:
    """Return features of all examples, and milliseconds for each of them."""
    run = quiet_function(
        lambda batch: network.model(network.preprocess(batch), training=False)
    )
    # All batches are of one size: another size would be traced anew.
    size = max(min(_BATCH_SIZE, len(x) // 4), 1)
    starts = [*range(0, len(x) - size, size), len(x) - size]
    features = np.empty((len(x), network.feature_dim), "float32")
    seconds = []
    for start in starts if cache is None else starts[:_TIMED_BATCHES]:
        rows = slice(start, start + size)
        begun = time.perf_counter()
        features[rows] = keras.ops.convert_to_numpy(run(x[rows]))
        seconds.append(time.perf_counter() - begun)
    if cache is not None:
        cached = cache_features(network, (x, y), cache=cache)
        features = np.concatenate([part.numpy() for part, _ in cached])
    # The first batch was traced. Others may have waited for other programs.
    return features, 1000 * min(seconds) / size


def _rank(row: dict) -> tuple:
    if row["error"]:
        return True, 0, 0
    return False, -row["probe"], -row["log_me"]


def _recommend(rows: list[dict], answers: Mapping[str, np.ndarray]) -> str:
    """Choose the fastest of those that may be as good as the best."""
    best = answers[rows[0]["candidate"]].astype("float64")
    close = []
    for row in rows[: len(answers)]:
        # The same examples are hard for all: their differences vary less
        # than what each of them gets right.
        worse = best - answers[row["candidate"]]
        if worse.mean() <= worse.std() / math.sqrt(len(worse)):
            close.append(row)
    fastest = min(row["milliseconds"] for row in close)
    return next(
        row["candidate"]
        for row in close
        if row["milliseconds"] <= _SAME_SPEED * fastest
    )
