"""Classes with few examples, or with many more than others."""

import collections

import numpy as np

from keras_transfer.insight.audit.duplicates import DuplicateGroups
from keras_transfer.insight.audit.finding import Finding
from keras_transfer.insight.audit.picture_table import PictureTable

_FEW = 10
_UNEVEN = 4  # times as many as the median class, or as few


def find_class_faults(
    table: PictureTable, groups: DuplicateGroups
) -> list[Finding]:
    """List classes with hardly any examples, and much larger or smaller ones.

    Copies count once. Of several splits, each is looked at for itself, but
    imbalance is that of the first.

    Args:
        table: The pictures.
        groups: From `group_duplicates`.
    """
    members = collections.defaultdict(set)
    splits = list(dict.fromkeys(table.splits))
    names = sorted(set(table.classes))
    for row in table.readable:
        place = table.splits[row], table.classes[row]
        members[place].add(groups.near[row])
    found = []
    for split in splits:
        where = f" in {split}" if split else ""
        for name in names:
            count = len(members[split, name])
            if count < _FEW:
                detail = f"{count} different pictures{where}"
                score = 1 - count / _FEW
                found.append(
                    Finding(
                        "few_examples", (), (name,), (split,), detail, score
                    )
                )
    for split in splits[:1]:
        counts = np.array([len(members[split, name]) for name in names])
        usual = np.median(counts[counts > 0]) if counts.any() else 0
        for name, count in zip(names, counts.tolist(), strict=True):
            ratio = count / usual if usual else 1
            if count and max(ratio, 1 / ratio) >= _UNEVEN:
                found.append(
                    Finding(
                        "imbalance",
                        (),
                        (name,),
                        (split,),
                        f"{count} pictures, the median class has {usual:.0f}",
                        1 - min(ratio, 1 / ratio),
                    )
                )
    return found
