"""The model card: its headings, its numbers, and what is left to a person."""

import re

import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from keras_transfer.recipes.model_card import make_card
from tests.recipes.example_reports import (
    bare_report,
    draw_answers,
    full_report,
    several_labels_report,
)

# Mitchell et al. 2019, figure 1.
HEADINGS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]
REPORTS = [full_report, bare_report, several_labels_report]


@pytest.fixture(scope="module")
def card():
    return make_card(full_report())


def section(card, heading):
    return re.split(r"^## ", card.split(f"\n## {heading}\n")[1], flags=re.M)[0]


def tables(text):
    """Return the tables in markdown, lists of rows, without their rules."""
    found = []
    for block in map(str.strip, text.split("\n\n")):
        if block.startswith("|"):
            rows = [
                [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                for line in block.split("\n")
            ]
            assert len({len(row) for row in rows}) == 1
            assert all(set(cell) <= set(":-") for cell in rows[1])
            found.append([rows[0], *rows[2:]])
    return found


@pytest.mark.parametrize("report", REPORTS)
def test_headings_are_the_standard_ones(report):
    card = make_card(report())
    assert re.findall("^## (.*)$", card, flags=re.M) == HEADINGS
    assert card.startswith("# Model card: ")
    assert "\n\n\n" not in card and "nan" not in card and "None" not in card


@pytest.mark.parametrize("report", REPORTS)
def test_what_only_a_person_knows_is_marked(report):
    card = make_card(report())
    for heading in HEADINGS:
        # The analyses are all ours.
        is_blank = heading != "Quantitative analyses"
        text = section(card, heading)
        assert len(re.findall(r"^\*To be written: .*\.\*$", text, re.M)) == (
            is_blank
        ), heading


def test_details_have_settings_and_versions(card):
    (rows,) = tables(section(card, "Model details"))
    rows = dict(rows)
    assert rows["model"] == "tiny&lt;net>" and rows["seed"] == "7"
    assert {"keras\\_transfer", "Keras", "TensorFlow"} < set(rows)


def test_names_are_text(card):
    names = ["&lt;script>alert(1)&lt;/script>", 'a "quoted" \\| fig']
    names += ["größe &amp; 大"]
    use = section(card, "Intended use")
    assert "3 classes" in use and all(f'"{name}"' in use for name in names)
    assert "<" not in card
    classes = tables(section(card, "Quantitative analyses"))[2]
    assert [row[0] for row in classes[1:]] == names


def test_analyses_have_the_numbers(card):
    report = full_report()
    text = section(card, "Quantitative analyses")
    right = int(report.right.sum())
    ends = binomtest(right, 240).proportion_ci(method="wilson")
    assert (
        f"Accuracy **{right / 240:.3f}**, {ends.low:.3f} to {ends.high:.3f} "
        "(95 %), on 240 validation examples." in text
    )
    assert re.findall("^### (.*)$", text, flags=re.M) == [
        *("Phases", "Baselines", "Classes", "Slices", "Calibration")
    ]
    phases, baselines, classes, slices, calibration = tables(text)
    assert phases[1][:2] == ["before training", "0.125"]
    assert phases[2] == [
        "after head",
        "0.500",
        "3",
        "61.0 s",
        "14 of 1,000,000",
    ]
    known = {row[0]: row[1] for row in baselines[1:]}
    for row in report.baselines.rows:
        assert known[row["baseline"]] == f"{row['accuracy']:.3f}"
    labels, outputs = draw_answers()
    scores = precision_recall_fscore_support(
        labels, outputs.argmax(axis=1), zero_division=0
    )
    for row, precision, recall, f1, support in zip(
        classes[1:], *scores, strict=True
    ):
        assert row[1:4] == [f"{support}", f"{precision:.3f}", f"{recall:.3f}"]
        assert row[5] == f"{f1:.3f}"
    for part in report.slices[-2:]:
        name = part["value"].replace("<", "&lt;")
        row = next(row for row in slices if row[0] == f"camera: {name}")
        assert row[1:3] == [f"{part['examples']}", f"{part['accuracy']:.3f}"]
        assert row[4] == ("worse" if part["worse"] else "")
    assert calibration[1] == ["expected calibration error", "0.250", "0.062"]


def test_factors_and_data_say_what_is_known(card):
    factors = section(card, "Factors")
    assert "for each value of: class, camera." in factors
    data = section(card, "Evaluation data")
    assert "240 validation examples." in data
    assert "chosen on the same examples" in data
    alone = make_card(full_report(measured_on="training", weights=""))
    assert "trained on these examples" in section(alone, "Evaluation data")


def test_caveats_are_the_verdict(card):
    text = section(card, "Caveats and recommendations")
    items = re.findall("^- (.*)$", text, flags=re.M)
    verdict = full_report().verdict.split("\n")
    assert len(items) == len(verdict)
    assert any("`kt.calibrate` applies it." in item for item in items)
    for item, sentence in zip(items, verdict, strict=True):
        plain = sentence.removeprefix("Verdict: ")
        for sign, escaped in (
            ("&", "&amp;"),
            ("<", "&lt;"),
            ("|", "\\|"),
            ("_", "\\_"),
        ):
            # What is code needs no escapes, and has none of these here.
            plain = plain.replace(sign, escaped)
        assert item == plain


def test_code_in_sentences_keeps_its_signs():
    report = full_report(
        phases=(
            full_report().phases[0],
            type(full_report().phases[0])("all", 2, 1.0, 0.1, (1, 2)),
        ),
        baselines=None,
    )
    assert "lower `learning_rate`, or fewer" in make_card(report)


def test_scarce_classes_are_named():
    rows = full_report().classes
    rows[1]["support"] = 9
    rows[2]["support"] = 10
    text = section(
        make_card(full_report(classes=rows)), "Caveats and recommendations"
    )
    scarce = text.split("say little of them: ")[1].split("\n")[0]
    assert scarce == '"a "quoted" \\| fig".'


def test_several_labels():
    card = make_card(several_labels_report())
    assert "answers with any number of them" in card
    assert "the share of right labels" in section(card, "Metrics")


def test_without_accuracy_the_metrics_are_blank():
    card = make_card(bare_report())
    assert "Accuracy" not in card
    assert "by which metric" in section(card, "Metrics")
    (phases,) = tables(section(card, "Quantitative analyses"))
    assert phases[0] == ["", "epochs", "time", "trainable weights"]
