"""The findings of an audit as one page, with pictures."""

import base64
import html
import io
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from keras_transfer.data.image_decoding import UnreadableImageError, read_image
from keras_transfer.insight.audit.file_faults import read_facts
from keras_transfer.insight.audit.finding import KINDS

_SIDE = 128
_MOST_FINDINGS = 100  # of a kind
_MOST_PICTURES = 8  # of a finding

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px;
  margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
h2 { margin: 2em 0 0 } h2 small { font-weight: normal; color: #666 }
.finding { border-top: 1px solid #ddd; padding: .7em 0 }
.finding p { margin: 0 0 .4em }
figure { display: inline-block; margin: 0 1em .5em 0; vertical-align: top;
  max-width: 150px; overflow-wrap: anywhere; font-size: 13px }
figure img { max-width: 128px; max-height: 128px; border: 1px solid #ccc }
figcaption b { display: block }
td { padding: 2px 1em 2px 0 }
"""


def write_page(
    path: str | os.PathLike,
    summary: str,
    findings: Sequence[dict],
    notes: Sequence[str],
    thumbnails: Mapping[str, np.ndarray],
) -> None:
    """Write findings with thumbnails into one file that needs no other.

    Args:
        path: The file to write.
        summary: A sentence for the top.
        findings: As `AuditReport.findings`.
        notes: Sentences for the end of the top.
        thumbnails: Pictures of what has no file, by the names in `findings`.
    """
    kinds = {
        kind: list(some)
        for kind, some in itertools.groupby(findings, lambda f: f["kind"])
    }
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.write(_head(summary, kinds, notes))
        for kind, some in kinds.items():
            file.writelines(_section(kind, some, thumbnails))
        file.write("</body></html>\n")


def _head(summary, kinds, notes) -> str:
    rows = "".join(
        f'<tr><td>{len(some)}<td><a href="#{kind}">{KINDS[kind][0]}</a>'
        f"<td>{html.escape(KINDS[kind][1])}"
        for kind, some in kinds.items()
    )
    table = f"<table>{rows}</table>" if rows else "<p>Nothing was found.</p>"
    ending = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Audit of pictures</title><style>{_STYLE}</style></head><body>"
        f"<h1>Audit</h1><p>{html.escape(summary)}</p>{table}{ending}\n"
    )


def _section(kind, findings, thumbnails) -> Iterator[str]:
    what, advice = KINDS[kind]
    yield (
        f'<h2 id="{kind}">{len(findings)} × {what} <small>{kind}</small></h2>'
        f"<p>{html.escape(advice)}</p>\n"
    )
    for finding in findings[:_MOST_FINDINGS]:
        yield _describe(finding, thumbnails)
    if len(findings) > _MOST_FINDINGS:
        yield (
            f"<p>The first {_MOST_FINDINGS} of {len(findings)}; "
            "<code>report.findings</code> has all.</p>\n"
        )


def _describe(finding, thumbnails) -> str:
    paths = finding["paths"]
    title = finding["detail"]
    if not paths:
        title = f"{', '.join(finding['classes'])}: {title}"
    figures = "".join(
        _draw(path, name, split, thumbnails.get(path))
        for path, name, split in zip(
            paths[:_MOST_PICTURES],
            finding["classes"],
            finding["splits"],
            strict=False,
        )
    )
    if len(paths) > _MOST_PICTURES:
        figures += f"<p>and {len(paths) - _MOST_PICTURES} more</p>"
    return f'<div class="finding"><p>{html.escape(title)}</p>{figures}</div>\n'


def _draw(path, name, split, pixels) -> str:
    title = f"{split}: {name}" if split else name
    return (
        f"<figure>{_embed(path, pixels)}<figcaption><b>{html.escape(title)}</b>"
        f"{html.escape(os.path.basename(path))}</figcaption></figure>"
    )


def _embed(path, pixels) -> str:
    """Return an inline thumbnail, or nothing where there is no picture."""
    if pixels is None:
        pixels = _read_thumbnail(path)
    if pixels is None:
        return ""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _read_thumbnail(path):
    try:
        width, height = read_facts(path).size
        scale = _SIDE / max(width, height, 1)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        return read_image(path, size)
    except UnreadableImageError:
        return None
