"""What a report says, and which files it would leave out."""

import html.parser

import numpy as np
import pytest
from PIL import Image

from keras_transfer.insight.audit.audit_report import make_report
from keras_transfer.insight.audit.finding import KINDS, Finding
from tests.insight.audit.pictures import make_table

FINDINGS = [
    Finding("label_error", ("l",), ("a",), ("",), "looks like b", 0.5),
    Finding("unreadable", ("u",), ("a",), ("",), "empty"),
    Finding("leak", ("t1", "n1", "t2"), ("a",) * 3, ("t", "n", "t"), "2 in t"),
    Finding("two_classes", ("c1", "c2"), ("a", "b"), ("", ""), "a, b"),
    Finding("exact_duplicate", ("e1", "e2", "e3"), ("a",) * 3, ("",) * 3, ""),
    Finding("near_duplicate", ("n1", "n2"), ("a", "a"), ("", ""), ""),
    Finding("cropped_duplicate", ("p1", "p2"), ("a", "a"), ("", ""), ""),
    Finding("blank", ("b",), ("a",), ("",), ""),
    Finding("few_examples", (), ("b",), ("",), "2 different pictures"),
]


def _report(findings=FINDINGS, notes=()):
    image = Image.new("RGB", (4, 4))
    return make_report(
        make_table([image] * 3, ["a", "b", "a"]), findings, {"x": "g"}, notes
    )


def test_what_is_left_out():
    report = _report()
    usual = ["c1", "c2", "e2", "e3", "n1", "n2", "u"]
    assert report.exclude() == usual
    assert report.exclude(["label_error", "blank"]) == ["b", "l"]
    assert report.exclude(["cropped_duplicate"]) == ["p2"]
    assert report.exclude([]) == []


@pytest.mark.parametrize("kinds", ["blank", ["no such kind"], ["imbalance"]])
def test_kinds_that_cannot_be_left_out(kinds):
    with pytest.raises(ValueError) as caught:
        _report().exclude(kinds)
    assert str(caught.value).endswith(f"Received: kinds={kinds!r}")


def test_the_gravest_comes_first():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(_report().findings)
    order = list(KINDS)
    assert sorted(frame.kind, key=order.index) == list(frame.kind)
    assert frame.kind[0] == "unreadable" and len(frame) == len(FINDINGS)
    assert _report().counts()["two_classes"] == 1


def test_printed_table():
    text = str(_report(notes=["Something was not done."]))
    lines = text.splitlines()
    assert lines[0] == "3 pictures of 2 classes."
    assert lines[1].split()[:2] == ["1", "unreadable"]
    assert lines[-1] == "Something was not done."
    assert "Nothing was found." in str(_report([]))


ODD = '<b>&"|*_x.png'


def test_markdown_and_html_show_names_as_they_are(tmp_path):
    many = [
        Finding("blank", (f"{i}{ODD}",), (ODD,), ("",), ODD) for i in range(250)
    ]
    report = _report(many, [ODD])
    text = report.markdown()
    assert "<b>" not in text and '&lt;b>&amp;"\\|\\*\\_x.png' in text
    assert "and 230 more" in text
    report.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ODD not in page and "The first 100 of 250" in page

    class Reader(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.texts, self.tags = [], []

        def handle_data(self, data):
            self.texts.append(data)

        def handle_starttag(self, tag, attributes):
            self.tags.append(tag)

    reader = Reader()
    reader.feed(page)
    assert sum(text == f"7{ODD}" for text in reader.texts) == 1
    assert not {"script", "link"} & set(reader.tags)


def test_page_has_pictures_side_by_side(tmp_path):
    paths = []
    for i, name in enumerate(["a", "b"]):
        path = tmp_path / f"{name} ü.png"
        Image.new("RGB", (300, 100), (200 * i, 0, 0)).save(path)
        paths.append(str(path))
    findings = [
        Finding("two_classes", tuple(paths), ("cat", "dog"), ("", ""), "same"),
        Finding("unreadable", (str(tmp_path / "gone"),), ("cat",), ("",), "no"),
    ]
    _report(findings).to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<b>cat</b>a ü.png" in page and "<b>dog</b>b ü.png" in page
    assert 'src="http' not in page and str(tmp_path) not in page


def test_examples_without_files_are_shown_from_memory(tmp_path):
    finding = Finding("blank", ("picture 1",), ("b",), ("",), "")
    report = _report([finding])
    assert list(report.thumbnails) == ["picture 1"]
    np.testing.assert_array_equal(report.thumbnails["picture 1"], 0)
    report.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 1
