"""What `rank_backbones` returns: a table with a recommendation."""

import dataclasses

_WIDTH = 100
_MOST_NAME = 26
_COLUMNS = {
    "candidate": "candidate",
    "probe": "probe %",
    "log_me": "LogME",
    "h_score": "H-score",
    "leep": "LEEP",
    "nce": "NCE",
    "feature_dim": "features",
    "parameters": "params M",
    "milliseconds": "ms/image",
}
_FOOTNOTE = (
    "LEEP and NCE look at the old head alone, and rank badly those of other "
    "sources."
)


@dataclasses.dataclass(frozen=True, eq=False)
class BackboneRanking:
    """Backbones in the order of what to expect of them, best first.

    It prints as a table: `print(ranking)`. For pandas:
    `pandas.DataFrame(ranking.rows)`.

    Attributes:
        rows: A list of dicts, one a candidate, with the keys `"candidate"`
            (its name), `"probe"` (the accuracy in [0, 1] of a linear probe on
            examples that it was not fitted on), `"spread"` (its standard
            error), `"log_me"`, `"h_score"`, `"leep"` and `"nce"` (`None`
            without an old head), `"feature_dim"`, `"parameters"` (in
            millions), `"milliseconds"` (an example) and `"error"` (why there
            is nothing else, or `None`). Those that failed come last.
        recommended: The name of the fastest candidate of those whose probe is
            within one standard error of the best. Where speeds differ by less
            than a tenth, the better probe decides.
        examples: How many examples were used.
        classes: How many classes these have.
    """

    rows: list[dict]
    recommended: str
    examples: int
    classes: int

    @property
    def best(self) -> str:
        """The name of the first candidate."""
        return self.rows[0]["candidate"]

    def plot(self):
        """Draw the accuracy of the probe against the time for an example.

        No display is needed and matplotlib's backend stays as it is.

        Example:

        ```python
        ranking.plot().savefig("backbones.png")
        ```

        Returns:
            A `matplotlib.figure.Figure` of 800 by 450 pixels.
        """
        from keras_transfer.insight.ranking_figure import draw_ranking

        return draw_ranking(self.rows, self.recommended)

    def __str__(self) -> str:
        good = [row for row in self.rows if not row["error"]]
        columns = {
            key: title
            for key, title in _COLUMNS.items()
            if any(row[key] is not None for row in good)
        }
        cells = [list(columns.values())]
        cells += [[_format(key, row) for key in columns] for row in good]
        bad = [
            (_shorten(row["candidate"]), " ".join(row["error"].split()))
            for row in self.rows[len(good) :]
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        widths[0] = max(widths[0], *(len(name) for name, _ in bad), 0)
        lines = [
            f"{self.examples:,} examples of {self.classes} classes; higher is "
            "better, ± is one standard error:"
        ]
        for first, *others in cells:
            others = map(str.rjust, others, widths[1:])
            lines.append("  ".join([first.ljust(widths[0]), *others]))
        for name, error in bad:
            line = f"{name.ljust(widths[0])}  failed: {error}"
            is_long = len(line) > _WIDTH
            lines.append(f"{line[: _WIDTH - 1]}…" if is_long else line)
        if "leep" in columns:
            lines.append(_FOOTNOTE)
        return "\n".join([*lines, self._recommend()])

    __repr__ = __str__

    def _recommend(self) -> str:
        rows = {row["candidate"]: row for row in self.rows}
        best, chosen = rows[self.best], rows[self.recommended]
        name = _shorten(self.recommended)
        if best is chosen:
            return (
                f"Recommended: {name}. None faster is as good, within one "
                "standard error."
            )
        times = best["milliseconds"] / chosen["milliseconds"]
        return (
            f"Recommended: {name}. It is {times:.1f} times as fast as "
            f"{_shorten(self.best)},\nwhich is not better by more than one "
            "standard error."
        )


def _format(key: str, row: dict) -> str:
    value = row[key]
    if value is None:
        return "-"
    if key == "candidate":
        return _shorten(value)
    if key == "probe":
        return f"{100 * value:.1f} ± {100 * row['spread']:.1f}"
    if key == "log_me":
        return f"{value:.3f}"
    if key == "feature_dim":
        return str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _shorten(name: str) -> str:
    # The end of a path tells more than its beginning.
    if len(name) <= _MOST_NAME:
        return name
    return f"…{name[1 - _MOST_NAME :]}"
