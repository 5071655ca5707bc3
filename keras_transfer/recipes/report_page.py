"""A report as one page of HTML."""

import html
import re
from collections.abc import Iterator

import numpy as np

from keras_transfer.board.drawing import FAINT, INK, LINES, RIGHT, WRONG
from keras_transfer.board.inline_picture import encode_inline
from keras_transfer.recipes.report import Report
from keras_transfer.recipes.report_figures import draw_figures
from keras_transfer.recipes.report_tables import (
    THIS_MODEL,
    WORSE,
    baseline_table,
    calibration_table,
    class_table,
    find_interval,
    name_report,
    phase_table,
    setting_table,
    slice_table,
    task_table,
)

_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0; background: white; color: {INK};
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }}
main {{ max-width: 46rem; margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: clamp(1.1rem, 5vw, 1.5rem); margin: 0;
  overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin: 2.5rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 1px solid {LINES}; }}
p, ul {{ margin: .5rem 0; overflow-wrap: anywhere; }}
ul {{ padding-left: 1.2rem; }}
.faint, figcaption {{ color: {FAINT}; font-size: .9rem; }}
.accuracy {{ margin: 1rem 0; line-height: 1.3; }}
.accuracy strong {{ color: {RIGHT}; font-size: 3.2rem; margin-right: .6rem;
  line-height: 1; }}
.accuracy span {{ display: inline-block; }}
.wide {{ overflow-x: auto; margin: .75rem 0; }}
table {{ border-collapse: collapse; font-size: .9rem; min-width: 60%;
  font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid {LINES};
  text-align: right; white-space: nowrap; vertical-align: top; }}
thead th {{ color: {FAINT}; font-weight: normal; border-color: {FAINT};
  vertical-align: bottom; white-space: normal; }}
tr > :first-child {{ text-align: left; padding-left: 0; }}
tbody th {{ font-weight: normal; white-space: normal; min-width: 6.5rem;
  overflow-wrap: anywhere; }}
.words td, .words thead th {{ text-align: left; }}
.words td {{ white-space: normal; overflow-wrap: anywhere; }}
.chosen > * {{ font-weight: bold; }}
.worse > :first-child, .worse > :last-child {{ color: {WRONG};
  font-weight: bold; }}
figure {{ margin: 1rem 0; }}
img {{ max-width: 100%; height: auto; display: block; }}
code {{ font-size: .9em; }}
@media (max-width: 32rem) {{
  table {{ font-size: .8rem; }}
  th, td {{ padding: .3rem .35rem; }}
}}
@media print {{
  @page {{ margin: 15mm; }}
  body {{ font-size: 11pt; }}
  main {{ max-width: none; padding: 0; }}
  .wide {{ overflow: visible; }}
  th, td {{ padding: .2rem .4rem; }}
  h2 {{ break-after: avoid; }}
  figure, tr, .accuracy {{ break-inside: avoid; }}
  img {{ max-height: 130mm; width: auto; }}
}}
"""


def make_page(report: Report) -> str:
    """Write a report as one page of HTML that needs nothing else.

    Example:

    ```python
    result = kt.fine_tune(model, train, validation)
    result.report.save("report.html")
    ```

    Args:
        report: The report.

    Returns:
        A page without scripts, its pictures inside. What is not known is left
        out.
    """
    title = name_report(report)
    body = "\n".join(
        f"<section>\n{part}\n</section>" for part in _write_sections(report)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{_escape(title)}</h1>
<p class="faint">{_escape(_describe_data(report))}</p>
</header>
{body}
</main>
</body>
</html>"""


def _describe_data(report) -> str:
    parts = []
    if report.classes:
        parts.append(f"{len(report.classes):,} classes")
    if report.examples:
        parts.append(f"{report.examples:,} {report.measured_on} examples")
    return ", ".join(["Report of a training", *parts])


def _write_sections(report) -> Iterator[str]:
    """Write what is known, section by section."""
    figures = {
        name: _figure(*figure) for name, figure in draw_figures(report).items()
    }
    for heading, *parts in (
        ("Verdict", _accuracy(report), _verdict(report)),
        (
            "Phases",
            _table(phase_table(report)),
            _paragraph(report.weights),
        ),
        ("Tasks", _table(task_table(report))),
        (
            "Baselines",
            figures.get("baselines"),
            _table(baseline_table(report), chosen=THIS_MODEL),
        ),
        ("Learning curves", figures.get("curves")),
        (
            "Classes",
            figures.get("confusion"),
            figures.get("f1"),
            _table(class_table(report)),
        ),
        ("Slices", _table(slice_table(report))),
        (
            "Calibration",
            figures.get("reliability"),
            _table(calibration_table(report)),
        ),
        ("Settings", _table(setting_table(report), kind="words")),
    ):
        known = [part for part in parts if part]
        if known:
            yield "\n".join([f"<h2>{heading}</h2>", *known])


def _accuracy(report) -> str:
    if np.isnan(report.accuracy):
        return ""
    what = "accuracy" if report.is_exclusive else "of the labels are right"
    interval = find_interval(report)
    if interval is None:
        text = f"{what} on {report.measured_on} data"
    else:
        low, high = interval
        text = (
            f"{what} on {report.examples:,} {report.measured_on} examples<br>"
            f"{low:.3f} to {high:.3f} on others like them (95 %)"
        )
    return (
        f'<p class="accuracy"><strong>{report.accuracy:.3f}</strong> '
        f"<span>{text}</span></p>"
    )


def _verdict(report) -> str:
    # The first sentence says in words what stands above.
    items = [
        f"<li>{_prose(sentence)}</li>"
        for sentence in report.verdict.split("\n")
        if sentence and not sentence.startswith("Verdict: ")
    ]
    return "\n".join(["<ul>", *items, "</ul>"]) if items else ""


def _paragraph(text: str) -> str:
    return f"<p>{_prose(text)}</p>" if text else ""


def _figure(picture, words: str) -> str:
    height, width = picture.shape[:2]
    return (
        f'<figure><img src="{encode_inline(picture)}" width="{width}" '
        f'height="{height}" alt="{_escape(words)}"></figure>'
    )


def _table(rows, kind: str = "", chosen: str | None = None) -> str:
    """Write a table, its first row and column as headings."""
    if not rows:
        return ""
    header = "".join(f'<th scope="col">{_escape(c)}</th>' for c in rows[0])
    lines = [f"<thead><tr>{header}</tr></thead>", "<tbody>"]
    for first, *others in rows[1:]:
        mark = "chosen" if first == chosen else ""
        mark = "worse" if others[-1] == WORSE else mark
        start = f'<tr class="{mark}">' if mark else "<tr>"
        cells = "".join(f"<td>{_escape(cell)}</td>" for cell in others)
        lines.append(
            f'{start}<th scope="row">{_escape(first)}</th>{cells}</tr>'
        )
    lines.append("</tbody>")
    start = f'<table class="{kind}">' if kind else "<table>"
    table = "\n".join([start, *lines, "</table>"])
    return f'<div class="wide">\n{table}\n</div>'


def _prose(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", _escape(text))


def _escape(text: str) -> str:
    return html.escape(text, quote=True)
