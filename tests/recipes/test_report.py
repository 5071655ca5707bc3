import math

from keras_transfer.recipes.report import PhaseRecord, Report


def make_report(**changes):
    rows = [
        {"class": "kiwi", "precision": 0.5, "recall": 1.0, "f1": 2 / 3},
        {"class": "fig", "precision": math.nan, "recall": 0.0, "f1": 0.0},
    ]
    settings = {
        "measured_on": "validation",
        "accuracy_before": 0.125,
        "phases": (
            PhaseRecord("extraction", 20, 61.04, 0.75, (14, 1_000_000)),
            PhaseRecord("fine-tuning", 10, 99.0, 0.8125, (900_000, 1_000_000)),
        ),
        "classes": [dict(row, support=3) for row in rows],
        "weights": "The weights are those of epoch 24.",
        "log_dir": "logs/a run",
    }
    return Report(**{**settings, **changes})


def test_it_prints_what_was_measured():
    assert str(make_report()).splitlines() == [
        "On validation data:",
        "                    accuracy   epochs     time              trainable",
        "before training        0.125",
        "after extraction       0.750       20   61.0 s        14 of 1,000,000",
        "after fine-tuning      0.812       10   99.0 s   900,000 of 1,000,000",
        "",
        "class   precision   recall      F1   examples",
        "kiwi        0.500    1.000   0.667          3",
        "fig             -    0.000   0.000          3",
        "",
        "The weights are those of epoch 24.",
        'Logs: tensorboard --logdir "logs/a run"',
    ]


def test_what_is_not_known_is_left_out():
    report = make_report(weights="", log_dir=None, classes=[])
    assert str(report).endswith("900,000 of 1,000,000")


def test_accuracy_is_that_after_the_last_phase():
    assert make_report().accuracy == 0.8125


def test_save_writes_what_is_printed(tmp_path):
    report = make_report(
        classes=[
            {
                "class": "größe 大",
                "precision": 1.0,
                "recall": 1.0,
                "f1": 1.0,
                "support": 1,
            }
        ]
    )
    report.save(tmp_path / "report.txt")
    written = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert written == f"{report}\n" and "größe 大" in written


def test_the_verdict_knows_chance_where_classes_exclude_each_other():
    assert make_report().verdict == ""  # examples were not counted
    report = make_report(examples=6)
    assert "0.812 on 6 validation examples" in report.verdict
    assert 'Always answering "kiwi" would give 0.500' in report.verdict
    assert "Its weights were chosen on them" in report.verdict
    assert report.verdict in str(report)
    assert "Always" not in make_report(examples=6, is_exclusive=False).verdict
    assert "chosen" not in make_report(examples=6, weights="").verdict
