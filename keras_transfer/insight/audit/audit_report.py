"""What an audit found, to be read and to be acted on."""

import collections
import dataclasses
import os
from collections.abc import Iterable, Mapping

import numpy as np

from keras_transfer.board.class_report import escape_markdown
from keras_transfer.insight.audit.audit_html import write_page
from keras_transfer.insight.audit.finding import KINDS, Finding
from keras_transfer.insight.audit.picture_table import PictureTable

# Label errors are suspicions; the rest is left out if it is asked for.
_EXCLUDED = (
    "unreadable",
    "leak",
    "two_classes",
    "exact_duplicate",
    "near_duplicate",
)
_ABOUT_CLASSES = ("few_examples", "imbalance")
_MOST_LISTED, _MOST_NAMED = 20, 6


@dataclasses.dataclass(frozen=True, eq=False)
class AuditReport:
    """What `audit_images` found.

    Printed, it is a table. Nothing is ever deleted from disk.

    Attributes:
        pictures: How many pictures there are.
        class_names: The names of the classes, sorted.
        findings: A dictionary for each thing that was found, with `kind`,
            `paths`, `classes`, `splits`, `detail` and `score`, the gravest
            kind first; `pandas.DataFrame(report.findings)` is a table of them.
        groups: The name of a group for each path that has duplicates, for
            `load_image_folder(..., groups=report)`. Copies in other sizes and
            encodings and cropped ones are in a group.
        notes: Sentences about what was not looked for, and why.
        thumbnails: Small pictures of the examples in `findings`, `uint8`
            `(height, width, 3)`, where they are not files.
    """

    pictures: int
    class_names: tuple[str, ...]
    findings: list[dict]
    groups: Mapping[str, str]
    notes: tuple[str, ...] = ()
    thumbnails: Mapping[str, np.ndarray] = dataclasses.field(
        default_factory=dict, repr=False
    )

    def counts(self) -> dict[str, int]:
        """Count the findings of each kind there is, the gravest first."""
        found = collections.Counter(f["kind"] for f in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def exclude(self, kinds: Iterable[str] | None = None) -> list[str]:
        """List the files to leave out of training; none is deleted.

        Of duplicates all but one: the one that is furthest from training
        (test before validation before train), and of those the largest. Of
        leaks, all but those in the split furthest from training. Of pictures
        under several classes every copy, for nothing says which label is
        right. Of the other kinds every file.

        Example:

        ```python
        report = kt.audit_images("photos")
        train, validation = kt.load_image_folder(
            "photos", exclude=report.exclude(), groups=report
        )
        ```

        Args:
            kinds: Which kinds of findings. By default `"unreadable"`,
                `"leak"`, `"two_classes"`, `"exact_duplicate"` and
                `"near_duplicate"`; `"cropped_duplicate"`, `"blank"`, `"tiny"`,
                `"odd_shape"`, `"wrongly_named"` and `"label_error"`, which is
                a suspicion, only if they are named.

        Returns:
            Paths, sorted.

        Raises:
            ValueError: If there is no such kind, or it is not about files.
        """
        kinds = _EXCLUDED if kinds is None else kinds
        possible = [kind for kind in KINDS if kind not in _ABOUT_CLASSES]
        if isinstance(kinds, str) or not set(kinds) <= set(possible):
            raise ValueError(
                f"`kinds` must be some of {possible}, in a list. "
                f"Received: kinds={kinds!r}"
            )
        left_out = set()
        for finding in self.findings:
            if finding["kind"] in kinds:
                left_out.update(_choose(finding))
        return sorted(left_out)

    def markdown(self) -> str:
        """Write the report in markdown, for TensorBoard's texts.

        Example:

        ```python
        with tf.summary.create_file_writer("logs/mine").as_default():
            tf.summary.text("audit", report.markdown(), step=0)
        ```
        """
        lines = [
            "### Audit",
            "",
            self._summary(),
            "",
            "| found | kind | what it is | what to do |",
            "|--:|:--|:--|:--|",
        ]
        lines += [
            f"| {count} | {kind} | {KINDS[kind][0]} | {KINDS[kind][1]} |"
            for kind, count in self.counts().items()
        ]
        for kind, count in self.counts().items():
            lines += ["", f"#### {kind}", ""]
            of_kind = [f for f in self.findings if f["kind"] == kind]
            for finding in of_kind[:_MOST_LISTED]:
                what = [*map(_shorten, finding["paths"])] or finding["classes"]
                more = len(what) - _MOST_NAMED
                named = escape_markdown(", ".join(what[:_MOST_NAMED]))
                if more > 0:
                    named += f" and {more} more"
                lines.append(f"- {named}: {escape_markdown(finding['detail'])}")
            if count > _MOST_LISTED:
                lines.append(f"- and {count - _MOST_LISTED} more")
        lines += ["", *map(escape_markdown, self.notes)]
        return "\n".join(lines)

    def to_html(self, path: str | os.PathLike) -> None:
        """Write the report as one page with pictures, which needs no network.

        Args:
            path: The file. One that is there is overwritten.
        """
        write_page(
            path, self._summary(), self.findings, self.notes, self.thumbnails
        )

    def __str__(self) -> str:
        counts = self.counts()
        rows = [
            (str(count), kind, KINDS[kind][1]) for kind, count in counts.items()
        ]
        widths = [max([len(row[i]) for row in rows] or [0]) for i in (0, 1)]
        lines = [self._summary()]
        lines += [
            f"{count:>{widths[0]}}  {kind:<{widths[1]}}  {advice}"
            for count, kind, advice in rows
        ]
        if not rows:
            lines.append("Nothing was found.")
        return "\n".join([*lines, *self.notes])

    def _summary(self) -> str:
        return f"{self.pictures:,} pictures of {len(self.class_names)} classes."


def make_report(
    table: PictureTable,
    findings: Iterable[Finding],
    groups: Mapping[str, str],
    notes: Iterable[str],
) -> AuditReport:
    """Put findings into a report, the gravest kind first.

    Args:
        table: The pictures.
        findings: In the order in which those of a kind are to be shown.
        groups: The name of a group for each path with duplicates.
        notes: Sentences about what was not looked for.
    """
    order = list(KINDS)
    findings = sorted(findings, key=lambda f: order.index(f.kind))
    thumbnails = {}
    if not table.has_files:
        shown = {path for finding in findings for path in finding.paths}
        thumbnails = {
            path: picture
            for path, picture in zip(table.paths, table.pictures, strict=True)
            if path in shown
        }
    return AuditReport(
        len(table),
        tuple(sorted(set(table.classes))),
        [dataclasses.asdict(finding) for finding in findings],
        dict(groups),
        tuple(notes),
        thumbnails,
    )


def _choose(finding) -> tuple[str, ...]:
    paths, splits = finding["paths"], finding["splits"]
    if finding["kind"].endswith("_duplicate"):
        return paths[1:]
    if finding["kind"] == "leak":
        # The one to keep is first, and with it all that are beside it.
        return tuple(
            path
            for path, split in zip(paths, splits, strict=True)
            if split != splits[0]
        )
    return paths


def _shorten(path: str) -> str:
    parts = path.replace(os.sep, "/").split("/")
    return "/".join(parts[-2:])
