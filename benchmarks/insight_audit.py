"""What an audit finds of faults that were planted in pictures.

    python benchmarks/insight_audit.py --data FOLDER

The folder holds `clipart14` (as in `examples/data`) and `emoji13/google`.
Copies of them are made, with faults: 5 % of the files get a copy that is
encoded anew, 5 % one that is resized (to 0.4 to 0.9 or 1.2 to 1.6 of the side),
5 % one that is cropped (5 to 25 % of width and height), 2 % are truncated,
1 % are emptied, 1 % overwritten with noise; 2 % are named as another format;
5 % are filed under another class. In a second copy, 5 % of the training
pictures have a re-encoded or resized copy in `test`. All by chance, in
`--seeds` ways.

Precision counts what was found beside the planted as false, though these
pictures have faults of their own; without those that an audit finds in the
folder as it is ("known"), copies are judged fairly. Wrong labels are counted
twice: once against the planted alone, and once without what the audit suspects
in the folder as it is, whether rightly or not.
"""

import argparse
import pathlib
import shutil
import tempfile

import numpy as np
from PIL import Image
from rounds import print_table

from keras_transfer.insight.audit_images import audit_images

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples/data"
SETS = ("clipart14", "emoji13/google")
TARGETS = {
    "re-encoded": "recall 0.95",
    "resized": "recall 0.95",
    "unreadable": "recall 0.95",
    "wrong labels": "recall 0.70, precision 0.60",
}


def main():
    arguments = read_arguments()
    rows = []
    for name in SETS:
        source = arguments.data / name
        if not source.is_dir():
            continue
        known = read_known(source)
        results = {}
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                for kind, scores in measure(source, known, folder, seed):
                    results.setdefault(kind, []).append(scores)
            print(name, seed, flush=True)
        rows += [
            [
                f"{name}: {kind}",
                *(describe([s[i] for s in scores]) for i in (0, 1)),
                TARGETS.get(kind, ""),
            ]
            for kind, scores in results.items()
        ]
    print_table(["planted", "recall", "precision", "target"], rows)


def measure(source, known, folder, seed):
    """Yield for each kind of fault `(kind, (recall, precision))`."""
    random = np.random.default_rng(seed)
    planted = plant(source, folder / "one", random)
    report = audit_images(folder / "one", verbose=False)
    found = list_pairs(report, folder / "one")
    for kind in ("re-encoded", "resized", "cropped"):
        yield kind, (share(planted[kind], found), None)
    copies = set().union(*(planted[k] for k in planted if k in COPIES))
    # Copies of one picture are copies of each other, too.
    renamed = planted["renamed"]
    expected = close(
        copies
        | {
            frozenset(renamed.get(p, p) for p in pair)
            for pair in known["pairs"]
        }
    )
    yield "all copies", (None, share(found, expected))
    for kind in ("unreadable", "wrongly_named"):
        named = list_paths(report, kind, folder / "one")
        yield (
            kind.replace("_", " "),
            (share(planted[kind], named), share(named, planted[kind])),
        )
    suspected = list_paths(report, "label_error", folder / "one")
    swapped = planted["swapped"]
    yield (
        "wrong labels",
        (share(swapped, suspected), share(suspected, swapped)),
    )
    others = suspected - (
        {renamed.get(p, p) for p in known["labels"]} - swapped
    )
    yield (
        "wrong labels, less known",
        (share(swapped, suspected), share(others, swapped)),
    )
    expected = plant_leaks(source, folder / "two", random)
    report = audit_images(folder / "two", verbose=False)
    leaks = {
        frozenset(stem(path) for path in f["paths"])
        for f in report.findings
        if f["kind"] == "leak"
    }
    leaked = set().union(*leaks)
    as_found = {frozenset(map(stem, pair)) for pair in known["pairs"]}
    judged = {
        stems for stems in leaks if stems & expected or stems not in as_found
    }
    right = {stems for stems in judged if stems & expected}
    yield "leaks", (share(expected, leaked), share(judged, right))


COPIES = ("re-encoded", "resized", "cropped")


def plant(source, folder, random):
    """Copy a folder with faults; return the paths or pairs of each kind."""
    shutil.copytree(source, folder)
    paths = sorted(
        str(path.relative_to(folder)) for path in folder.glob("*/*.*")
    )
    order = iter(random.permutation(paths).tolist())
    classes = sorted({pathlib.Path(path).parts[0] for path in paths})

    def draw(percent):
        count = max(1, round(percent * len(paths) / 100))
        return [next(order) for _ in range(count)]

    planted = {kind: set() for kind in COPIES}
    for kind in COPIES:
        for path in draw(5):
            copy = save_copy(folder / path, kind, random)
            planted[kind].add(frozenset([path, str(copy.relative_to(folder))]))
    truncated, emptied, noise = draw(2), draw(1), draw(1)
    for path in truncated:
        content = (folder / path).read_bytes()
        end = int(random.uniform(0.1, 0.98) * len(content))
        (folder / path).write_bytes(content[:end])
    for path in emptied:
        (folder / path).write_bytes(b"")
    for path in noise:
        (folder / path).write_bytes(random.bytes(2000))
    planted["unreadable"] = {*truncated, *emptied, *noise}
    planted["wrongly_named"], planted["renamed"] = set(), {}
    for path in draw(2):
        other = ".png" if path.endswith(".jpg") else ".jpg"
        renamed = (folder / path).with_suffix(other)
        (folder / path).rename(renamed)
        planted["renamed"][path] = str(renamed.relative_to(folder))
        planted["wrongly_named"].add(planted["renamed"][path])
    planted["swapped"] = set()
    for path in draw(5):
        own, name = pathlib.Path(path).parts
        wrong = random.choice([c for c in classes if c != own])
        moved = pathlib.Path(wrong) / f"moved {name}"
        (folder / path).rename(folder / moved)
        planted["renamed"][path] = str(moved)
        planted["swapped"].add(str(moved))
    return planted


def save_copy(path, kind, random, folder=None):
    """Save a copy of a picture that is changed as `kind` says."""
    image = Image.open(path).convert("RGBA")
    behind = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(behind, image).convert("RGB")
    width, height = image.size
    if kind == "resized":
        smaller = random.random() < 0.7
        scale = (
            random.uniform(0.4, 0.9) if smaller else random.uniform(1.2, 1.6)
        )
        size = max(8, round(width * scale)), max(8, round(height * scale))
        image = image.resize(size, int(random.choice([1, 2, 3])))
    if kind == "cropped":
        across, down = random.uniform(0.05, 0.25, 2)
        left, top = random.uniform(0, across), random.uniform(0, down)
        box = (left, top, 1 - across + left, 1 - down + top)
        image = image.crop(
            tuple(
                round(share * side)
                for share, side in zip(box, image.size * 2, strict=True)
            )
        )
    suffix = random.choice([".jpg", ".png", ".webp"])
    if kind == "re-encoded":
        suffix = random.choice([".jpg", ".webp"])
    copy = (folder or path.parent) / f"{path.stem} {kind}{suffix}"
    options = (
        {} if suffix == ".png" else {"quality": int(random.integers(50, 96))}
    )
    image.save(copy, **options)
    return copy


def plant_leaks(source, folder, random):
    """Split a folder, with copies on both sides; return what was copied."""
    expected = set()
    for place in sorted(p for p in source.iterdir() if p.is_dir()):
        for path in sorted(place.iterdir()):
            split = "test" if random.random() < 0.3 else "train"
            target = folder / split / place.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / path.name)
            if split == "train" and random.random() < 0.05:
                kind = str(random.choice(["re-encoded", "resized"]))
                copies = folder / "test" / place.name
                copies.mkdir(parents=True, exist_ok=True)
                save_copy(path, kind, random, copies)
                expected.add(path.stem)
    return expected


def read_known(source):
    """Audit the folder as it is."""
    report = audit_images(source, verbose=False)
    return {
        "pairs": list_pairs(report, source),
        "labels": list_paths(report, "label_error", source),
    }


def list_pairs(report, folder):
    """List the pairs of files that are in one group of duplicates."""
    groups = {}
    for path, group in report.groups.items():
        name = str(pathlib.Path(path).relative_to(folder))
        groups.setdefault(group, []).append(name)
    return {
        frozenset([a, b])
        for members in groups.values()
        for i, a in enumerate(members)
        for b in members[:i]
    }


def list_paths(report, kind, folder):
    return {
        str(pathlib.Path(path).relative_to(folder))
        for finding in report.findings
        if finding["kind"] == kind
        for path in finding["paths"]
    }


def close(pairs):
    """Add the pairs that follow from others."""
    group_of = {}
    for pair in pairs:
        members = set().union(*(group_of.get(path, {path}) for path in pair))
        group_of.update(dict.fromkeys(members, members))
    return {
        frozenset([a, b])
        for members in group_of.values()
        for a in members
        for b in members
        if a != b
    }


def share(some, among):
    """Return which share of some is among others; `None` of none."""
    return len(some & among) / len(some) if some else None


def stem(path):
    """Return the name of the picture that a file is a copy of."""
    return pathlib.Path(path).stem.split(" ")[0]


def describe(values):
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=EXAMPLES)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    return parser.parse_args()


if __name__ == "__main__":
    main()
