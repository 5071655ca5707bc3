"""A report as a model card."""

from collections.abc import Iterator

from keras_transfer.board.class_report import escape_markdown
from keras_transfer.recipes.report import Report
from keras_transfer.recipes.report_tables import (
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

_FEWEST_EXAMPLES = 10


def make_card(report: Report) -> str:
    """Write a report as a model card in Markdown, to be completed.

    The headings are those of Mitchell et al. 2019, "Model Cards for Model
    Reporting", arXiv:1810.03993. What only a person knows is a line that
    begins with *To be written*.

    Example:

    ```python
    result = kt.fine_tune(model, train, validation)
    result.report.save("MODEL_CARD.md")
    ```

    Args:
        report: The report.

    Returns:
        The card.
    """
    parts = [f"# Model card: {escape_markdown(name_report(report))}"]
    for heading, write in (
        ("Model details", _details),
        ("Intended use", _use),
        ("Factors", _factors),
        ("Metrics", _metrics),
        ("Evaluation data", _evaluation_data),
        ("Training data", _training_data),
        ("Quantitative analyses", _analyses),
        ("Ethical considerations", _ethics),
        ("Caveats and recommendations", _caveats),
    ):
        parts += [f"## {heading}", *filter(None, write(report))]
    return "\n\n".join(parts)


def _details(report) -> Iterator[str]:
    yield _table(setting_table(report), ":--")
    yield _blank(
        "who made it, which backbone and weights it started from, its version, "
        "its licence, and whom to ask"
    )


def _use(report) -> Iterator[str]:
    names = [f'"{escape_markdown(row["class"])}"' for row in report.classes]
    if names:
        kind = "one" if report.is_exclusive else "any number"
        yield (
            f"It tells {len(names):,} classes apart, and answers with {kind} "
            f"of them, whatever it is shown: {', '.join(names)}."
        )
    yield _blank(
        "what it is for, who is to use it, and what it must not be used for"
    )


def _factors(report) -> Iterator[str]:
    names = list(dict.fromkeys(row["slice"] for row in report.slices))
    if names:
        listed = ", ".join(map(escape_markdown, names))
        yield f"It was measured apart for each value of: {listed}."
    yield _blank(
        "which groups, devices and surroundings may matter, and which of them "
        "were not measured"
    )


def _metrics(report) -> Iterator[str]:
    interval = find_interval(report)
    if interval is None:
        yield _blank("how good it is, by which metric")
        return
    share = (
        "the share of the examples that are answered rightly"
        if report.is_exclusive
        else "the share of right labels, over all examples and classes"
    )
    yield (
        f"Accuracy is {share}. Intervals are at 95 %: Wilson's, and for "
        "baselines and gains by bootstrap."
    )
    if report.classes:
        yield (
            "Precision is the share of what is called a class that is of it, "
            "recall the share of a class that is called so, and F1 their "
            "harmonic mean."
        )
    if report.calibration is not None:
        yield (
            "The expected calibration error is by how much the probability of "
            "answers differs from how often they are right."
        )
    yield _blank("why these, and which mistakes cost most")


def _evaluation_data(report) -> Iterator[str]:
    if report.examples:
        yield f"{report.examples:,} {report.measured_on} examples."
    if report.measured_on == "training":
        yield "There was no validation data: it was trained on these examples."
    elif report.weights:
        yield "The weights were chosen on the same examples."
    yield _blank("where they come from, how they were chosen and labelled")


def _training_data(report) -> Iterator[str]:
    yield _blank(
        "where they come from, how many there are, how they were labelled, "
        "and under which licence"
    )


def _analyses(report) -> Iterator[str]:
    interval = find_interval(report)
    if interval is not None:
        low, high = interval
        yield (
            f"Accuracy **{report.accuracy:.3f}**, {low:.3f} to {high:.3f} "
            f"(95 %), on {report.examples:,} {report.measured_on} examples."
        )
    for heading, rows in (
        ("Phases", phase_table(report)),
        ("Tasks", task_table(report)),
        ("Baselines", baseline_table(report)),
        ("Classes", class_table(report)),
        ("Slices", slice_table(report)),
        ("Calibration", calibration_table(report)),
    ):
        if rows:
            yield f"### {heading}"
            yield _table(rows)
    if report.weights:
        yield escape_markdown(report.weights)


def _ethics(report) -> Iterator[str]:
    yield _blank(
        "whom its mistakes may harm, and what the data tells of people"
    )


def _caveats(report) -> Iterator[str]:
    verdict = report.verdict.removeprefix("Verdict: ").split("\n")
    yield "\n".join(f"- {_prose(sentence)}" for sentence in verdict if sentence)
    scarce = [
        row["class"]
        for row in report.classes
        if row["support"] < _FEWEST_EXAMPLES
    ]
    if scarce:
        listed = ", ".join(f'"{escape_markdown(name)}"' for name in scarce)
        yield (
            f"Of these classes there were less than {_FEWEST_EXAMPLES} "
            f"examples, which say little of them: {listed}."
        )
    yield _blank("what else to know, and what is still to be tested")


def _blank(what: str) -> str:
    return f"*To be written: {what}.*"


def _table(rows, align: str = "--:") -> str:
    header, *others = (
        f"| {' | '.join(map(escape_markdown, row))} |" for row in rows
    )
    rule = "|".join(["|:--", *[align] * (len(rows[0]) - 1), ""])
    return "\n".join([header, rule, *others])


def _prose(text: str) -> str:
    """Escape a sentence, but for the code in it."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape_markdown(text)
    parts[1::2] = [f"`{part}`" for part in parts[1::2]]
    for number in range(0, len(parts), 2):
        part = parts[number]
        # Escaping takes away spaces at either end.
        start, end = (" " if part[at:][:1] == " " else "" for at in (0, -1))
        text = escape_markdown(part)
        parts[number] = f"{start}{text}{end}" if text else part
    return "".join(parts)
