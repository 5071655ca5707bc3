"""One thing that an audit found."""

import dataclasses

# From the gravest to the least: what it is, and what to do about it.
KINDS = {
    "unreadable": (
        "files that cannot be read",
        "restore them, or leave them out",
    ),
    "wrongly_named": (
        "files named as what they are not",
        "rename them; a picture without a picture's suffix is not loaded",
    ),
    "leak": (
        "pictures that are in several splits",
        "leave out the copies in the training data",
    ),
    "two_classes": (
        "pictures that are filed under several classes",
        "decide which class is right, or leave out all copies",
    ),
    "exact_duplicate": (
        "copies of one picture",
        "keep one; split with `groups=report`",
    ),
    "near_duplicate": (
        "one picture in several encodings or sizes",
        "keep the largest; split with `groups=report`",
    ),
    "cropped_duplicate": (
        "pictures that are cut out of others",
        "keep the whole one; split with `groups=report`",
    ),
    "label_error": (
        "pictures that look like another class",
        "look at them, the first ones first; many are right as they are",
    ),
    "blank": ("pictures of one colour", "leave them out"),
    "tiny": (
        "pictures with far fewer pixels than others",
        "replace them by larger ones",
    ),
    "odd_shape": (
        "pictures much longer or wider than others",
        "crop them, or load with `pad_to_aspect_ratio=True`",
    ),
    "few_examples": (
        "classes with hardly any examples",
        "collect more, or merge them with others",
    ),
    "imbalance": (
        "classes much larger or smaller than others",
        'try `class_weight="balanced"`, look at the F1 of each class',
    ),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Attributes:
        kind: One of `KINDS`.
        paths: The files, or the names of examples, that it is about. Of
            copies, the one to keep comes first.
        classes: The class of each, `""` where it has none. Of what is about
            a class and not about files, the class.
        splits: The split of each, `""` where there is only one.
        detail: In words, what is wrong.
        score: How grave or how certain, in [0, 1].
    """

    kind: str
    paths: tuple[str, ...]
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    detail: str
    score: float = 1.0
