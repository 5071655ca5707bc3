"""The page of a report: what is on it, and that it is whole and safe."""

import base64
import dataclasses
import html.parser
import io
import re

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import keras_transfer as kt
from keras_transfer.board.class_report import class_rows
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.board.f1_bars import draw_f1_bars
from keras_transfer.board.learning_curves import draw_learning_curves
from keras_transfer.board.reliability_diagram import draw_reliability_diagram
from keras_transfer.insight.slices import slice_rows
from keras_transfer.recipes.report_page import make_page
from tests.networks import tiny_backbone
from tests.recipes.example_reports import (
    NAMES,
    bare_report,
    draw_answers,
    full_report,
    several_labels_report,
)

VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """A page, taken apart; tags that do not match are errors.

    Attributes:
        sections: For each heading its tables, lists of rows of text; its
            images, dicts of their attributes; and all its text.
        tags: All tags, with their attributes.
    """

    def __init__(self, text):
        super().__init__()
        self.sections, self.tags = {}, []
        self._open, self._section, self._cell = [], None, None
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h2":
            self._section = {"tables": [], "images": [], "text": ""}
        elif tag == "table":
            self._section["tables"].append([])
        elif tag == "tr":
            self._section["tables"][-1].append([])
        elif tag in ("td", "th"):
            self._section["tables"][-1][-1].append("")
        elif tag == "img":
            self._section["images"].append(dict(attrs))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] == ["h2"]:
            self.sections[data] = self._section
        elif self._section is not None:
            self._section["text"] += data
            if self._open[-1:] in (["td"], ["th"]):
                self._section["tables"][-1][-1][-1] += data

    def table(self, heading):
        (table,) = self.sections[heading]["tables"]
        return table

    def pictures(self, heading):
        start = "data:image/png;base64,"
        found = []
        for image in self.sections[heading]["images"]:
            assert image["src"].startswith(start)
            data = base64.b64decode(image["src"][len(start) :], validate=True)
            found.append(np.asarray(Image.open(io.BytesIO(data))))
            height, width = found[-1].shape[:2]
            assert image["width"] == f"{width}"
            assert image["height"] == f"{height}"
        return found

    def alts(self, heading):
        return [image["alt"] for image in self.sections[heading]["images"]]


def interval(right, examples):
    found = binomtest(right, examples).proportion_ci(method="wilson")
    return f"{found.low:.3f} to {found.high:.3f}"


@pytest.fixture(scope="module")
def text():
    return make_page(full_report())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_it_needs_nothing_else(text, page):
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for _, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs)
        assert "href" not in attrs
        src = attrs.get("src", "data:image/png;base64,")
        assert src.startswith("data:image/png;base64,")
    assert not re.search(r"https?:|url\(|@import|//\w+\.\w", text)
    assert 'name="viewport" content="width=device-width' in text
    assert "@media print" in text
    assert len(text) < 500_000


def test_what_users_wrote_is_text(text, page):
    assert "<script" not in text and "<b>" not in text and "<net>" not in text
    assert "<title>tiny&lt;net&gt;, lp_ft</title>" in text
    assert [row[0] for row in page.table("Classes")[1:]] == NAMES
    assert page.table("Phases")[3][0] == "after all & more"
    assert ["camera: <b>scan</b>", "camera: phone"] == sorted(
        row[0] for row in page.table("Slices")[1:]
    )


def test_the_verdict_comes_first(text, page):
    report = full_report()
    assert next(iter(page.sections)) == "Verdict"
    right = int(report.right.sum())
    big = re.search('<p class="accuracy"><strong>(.*?)</strong>(.*?)</p>', text)
    assert big[1] == f"{right / 240:.3f}"
    assert "accuracy on 240 validation examples" in big[2]
    assert interval(right, 240) in big[2]
    first, *others = report.verdict.split("\n")
    assert first.startswith("Verdict: ") and len(others) > 4
    for sentence in others:
        assert sentence.replace("`", "") in page.sections["Verdict"]["text"]
    assert "Verdict: " not in text
    assert "<code>kt.calibrate</code>" in text


def test_table_of_phases(page):
    accuracy = f"{full_report().accuracy:.3f}"
    assert page.table("Phases") == [
        ["", "accuracy", "epochs", "time", "trainable weights"],
        ["before training", "0.125", "", "", ""],
        ["after head", "0.500", "3", "61.0 s", "14 of 1,000,000"],
        ["after all & more", accuracy, "2", "99.0 s", "900 of 1,000,000"],
    ]
    assert "those of epoch 4" in page.sections["Phases"]["text"]


def test_baselines_stand_beside_the_model(text, page):
    report = full_report()
    known = {row["baseline"]: row for row in report.baselines.rows}
    header, *rows = page.table("Baselines")
    assert header[1:3] == ["accuracy", "95 %"]
    best = [float(row[1]) for row in rows]
    assert best == sorted(best, reverse=True)
    rows = {name: cells for name, *cells in rows}
    assert set(rows) == {"this model", *known}
    right = int(report.right.sum())
    ours = [f"{right / 240:.3f}", interval(right, 240)]
    assert rows["this model"][:2] == ours
    for name, row in known.items():
        accuracy, ends, gain = rows[name]
        assert accuracy == f"{row['accuracy']:.3f}"
        assert ends == f"{row['low']:.3f} to {row['high']:.3f}"
        mean = (report.right - report.baselines.right[name]).mean()
        assert gain.startswith(f"{mean:+.3f} (")
    (alt,) = page.alts("Baselines")
    for name, (accuracy, *_) in rows.items():
        assert f"{name} {accuracy}" in alt
    assert text.count('<tr class="chosen"><th scope="row">this model') == 1
    assert len(page.pictures("Baselines")) == 1


def test_learning_curves(page):
    report = full_report()
    (picture,) = page.pictures("Learning curves")
    drawn = draw_learning_curves(
        report.history, [("head", 3), ("all & more", 2)]
    )
    np.testing.assert_array_equal(picture, drawn)
    (alt,) = page.alts("Learning curves")
    assert "training loss from 1.500 to 0.625" in alt
    assert "validation accuracy from 0.200 to 0.500" in alt


def test_table_and_figures_of_classes(text, page):
    labels, outputs = draw_answers()
    guesses = outputs.argmax(axis=1)
    scores = precision_recall_fscore_support(labels, guesses, zero_division=0)
    for row, name, precision, recall, f1, support in zip(
        page.table("Classes")[1:], NAMES, *scores, strict=True
    ):
        assert row == [
            name,
            f"{support}",
            f"{precision:.3f}",
            f"{recall:.3f}",
            interval(round(recall * support), support),
            f"{f1:.3f}",
            "worse" if name == NAMES[0] else "",
        ]
    assert text.count('<tr class="worse">') == 2  # and a camera
    matrix = confusion_matrix(labels, guesses)
    confusion, bars = page.pictures("Classes")
    np.testing.assert_array_equal(
        confusion, draw_confusion_matrix(matrix, NAMES)
    )
    np.testing.assert_array_equal(bars, draw_f1_bars(matrix, NAMES))
    first, second = page.alts("Classes")
    right = int((labels == guesses).sum())
    assert f"3 classes: {right} of 240 examples are right" in first
    np.fill_diagonal(matrix, 0)
    true, taken = np.unravel_index(matrix.argmax(), (3, 3))
    assert (
        f"{NAMES[true]} is taken for {NAMES[taken]} ({matrix.max()})" in first
    )
    assert f"from {NAMES[0]} (0.000) to" in second


def test_slices_by_class_have_a_table_of_their_own_only_where_they_differ(page):
    rows = {row[0]: row[1:] for row in page.table("Slices")[1:]}
    assert all(name.startswith("camera: ") for name in rows)
    report = full_report()
    phone = draw_answers()[0] <= 1
    right = int(report.right[phone].sum())
    assert rows["camera: phone"] == [
        f"{phone.sum()}",
        f"{right / phone.sum():.3f}",
        interval(right, int(phone.sum())),
        "worse",
    ]
    row = {"slice": "class", "value": "A", "accuracy": 0.5, "low": 0.2}
    row |= {"high": 0.7, "examples": 240, "worse": False}
    page = Page(make_page(dataclasses.replace(report, slices=[row])))
    assert page.table("Slices") == [
        ["slice", "examples", "accuracy", "95 %"],
        ["class: A", "240", "0.500", "0.200 to 0.700"],
    ]
    assert page.table("Classes")[0] == [
        *("class", "examples", "precision", "recall", "F1")
    ]


def test_a_class_without_examples():
    labels, outputs = draw_answers(classes=4)
    labels[labels == 3] = 1
    matrix = confusion_matrix(labels, outputs.argmax(axis=1))
    names = [*"abcd"]
    right = outputs.argmax(axis=1) == labels
    report = full_report(
        classes=class_rows(matrix, names),
        answers=(labels, outputs),
        right=right,
        slices=slice_rows(right, {"class": np.array(names)[labels]}),
    )
    page = Page(make_page(report))
    assert "Slices" not in page.sections
    assert page.table("Classes")[4][:2] == ["d", "0"]
    assert page.table("Classes")[4][3:] == ["–", "–", "0.000", ""]


def test_calibration(page):
    labels, outputs = draw_answers()
    sure, right = outputs.max(axis=1), outputs.argmax(axis=1) == labels
    (picture,) = page.pictures("Calibration")
    np.testing.assert_array_equal(
        picture, draw_reliability_diagram(sure, right)
    )
    assert page.table("Calibration") == [
        ["", "as trained", "at temperature 1.50"],
        ["expected calibration error", "0.250", "0.062"],
        ["mean crossentropy", "1.200", "0.900"],
    ]
    number = np.ceil(sure * 15)
    gaps = [
        abs(sum(sure[number == i]) - sum(right[number == i])) / 240
        for i in range(16)
    ]
    assert f"calibration error {sum(gaps):.3f}" in page.alts("Calibration")[0]


def test_settings_and_versions(page):
    rows = dict(page.table("Settings"))
    assert rows["model"] == "tiny<net>" and rows["seed"] == "7"
    assert rows["keras_transfer"] == kt.__version__
    assert rows["Keras"] == keras.__version__
    assert rows["logs"] == "logs/<run>"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", rows["report written"])


def test_what_is_not_known_leaves_no_gap():
    text = make_page(bare_report())
    page = Page(text)
    assert list(page.sections) == ["Phases", "Settings"]
    assert page.table("Phases") == [
        ["", "epochs", "time", "trainable weights"],
        ["before training", "", "", ""],
        ["after all", "5", "1.0 s", "3 of 3"],
    ]
    assert "nan" not in text and "None" not in text and "<p></p>" not in text
    assert "<title>A training</title>" in text


@pytest.mark.parametrize(
    ("part", "nothing", "gone"),
    [
        ("baselines", None, "Baselines"),
        ("history", {}, "Learning curves"),
        ("slices", [], "Slices"),
    ],
)
def test_a_part_that_is_missing(page, part, nothing, gone):
    less = Page(make_page(full_report(**{part: nothing})))
    assert list(less.sections) == [s for s in page.sections if s != gone]


def test_without_answers_there_are_the_tables():
    report = full_report(answers=None, right=None, baselines=None)
    page = Page(make_page(report))
    assert not page.sections["Classes"]["images"]
    assert len(page.table("Classes")) == 4
    assert not page.sections["Calibration"]["images"]


def test_answers_that_are_no_numbers_have_no_reliability():
    labels, outputs = draw_answers()
    outputs[5] = np.nan
    report = full_report(answers=(labels, outputs), calibration=None)
    matrix = confusion_matrix(labels, outputs.argmax(axis=1))
    rows = full_report().classes
    for row, support, right in zip(
        rows, matrix.sum(axis=1), np.diagonal(matrix), strict=True
    ):
        row.update(support=int(support), recall=right / support)
    page = Page(make_page(dataclasses.replace(report, classes=rows)))
    assert len(page.pictures("Classes")) == 2
    assert "Calibration" not in page.sections


@pytest.mark.parametrize("marked", [None, np.repeat(np.eye(3), 20, axis=0)])
def test_several_labels_have_f1_alone(marked):
    report = several_labels_report(marked)
    text = make_page(report)
    page = Page(text)
    (bars,) = page.pictures("Classes")
    labels, outputs = report.answers
    cells = [
        confusion_matrix(a, b > 0.5)
        for a, b in zip(labels.T, outputs.T, strict=True)
    ]
    np.testing.assert_array_equal(bars, draw_f1_bars(cells, "abc"))
    assert "of the labels are right on 60 validation examples" in text
    assert "Calibration" not in page.sections


def test_a_hundred_classes_are_below_a_megabyte():
    names = [f"species {number} of a long name 大" for number in range(100)]
    labels, outputs = draw_answers(2000, 100)
    text = make_page(
        full_report(
            names,
            answers=(labels, outputs),
            classes=[
                {"class": name, "precision": 0.5, "recall": recall, "f1": 0.5}
                | {"support": int((labels == number).sum())}
                for number, (name, recall) in enumerate(
                    zip(names, recalls(labels, outputs), strict=True)
                )
            ],
        )
    )
    page = Page(text)
    assert len(page.pictures("Classes")) == 2
    assert len(page.table("Classes")) == 101
    assert len(text.encode()) < 1_000_000


def recalls(labels, outputs):
    scores = precision_recall_fscore_support(labels, outputs.argmax(axis=1))
    return scores[1]


def test_save_chooses_the_form_by_the_suffix(tmp_path):
    report = full_report()
    for name, start in (
        ("a.html", "<!DOCTYPE html>"),
        ("b.HTM", "<!DOCTYPE html>"),
        ("c.md", "# Model card: "),
        ("d.txt", "On validation data:"),
        ("e.json5", "On validation data:"),
        ("html", "On validation data:"),
    ):
        report.save(tmp_path / name)
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.startswith(start), name
        assert text.endswith("\n") and "größe" in text
    report.save(str(tmp_path / "f.html"))
    assert (tmp_path / "f.html").read_bytes() == (
        tmp_path / "a.html"
    ).read_bytes()


@pytest.mark.parametrize("name", ["a.html", "a.md", "a.txt"])
def test_names_that_are_no_text_are_written_all_the_same(tmp_path, name):
    report = full_report(["caf\udce9", "b\x00c\n", ""])
    report.save(tmp_path / name)
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert r"caf\udce9" in text


def test_a_real_training_has_it_all(tmp_path):
    random = np.random.default_rng(0)
    labels = np.arange(48) % 3
    colours = 60 + 120 * np.eye(3)[labels][:, None, None]
    images = (colours + random.normal(0, 30, (48, 8, 8, 3))).clip(0, 255)
    data = images.astype("uint8"), labels
    model = kt.build_classifier(tiny_backbone(), ["red", "green", "blue"])
    result = kt.fine_tune(
        model,
        data,
        data,
        strategy=[kt.Phase("head", 2, 0.01), kt.Phase("all", 1, 0.001)],
        baselines=True,
        slices={"half": np.arange(48) // 24},
        log_dir=False,
        verbose=0,
        seed=0,
    )
    result.report.save(tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert list(page.sections) == [
        "Verdict",
        "Phases",
        "Baselines",
        "Learning curves",
        "Classes",
        "Slices",
        "Calibration",
        "Settings",
    ]
    assert [row[0] for row in page.table("Classes")[1:]] == [
        *("red", "green", "blue")
    ]
    assert len(page.table("Slices")) == 3
    result.report.save(tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert f"Accuracy **{result.report.accuracy:.3f}**" in card
