from keras_transfer.insight.backbone_ranking import BackboneRanking


def make_row(candidate, probe, milliseconds, **more):
    row = {
        "candidate": candidate,
        "probe": probe,
        "spread": 0.02,
        "log_me": -0.0312,
        "h_score": 10.25,
        "leep": None,
        "nce": None,
        "feature_dim": 1280,
        "parameters": 3.4130,
        "milliseconds": milliseconds,
        "error": None,
    }
    return row | more


FAILED = dict.fromkeys(make_row("", 0, 0)) | {
    "candidate": "gone",
    "error": "No such file:\n" + "a" * 200,
}


def test_prints_as_a_table():
    rows = [make_row("large", 0.8012, 120.4), make_row("small", 0.79, 2.5)]
    ranking = BackboneRanking([*rows, FAILED], "small", 1500, 12)
    assert str(ranking).splitlines() == [
        "1,500 examples of 12 classes; higher is better, ± is one standard "
        "error:",
        "candidate     probe %   LogME  H-score  features  params M  ms/image",
        "large      80.1 ± 2.0  -0.031     10.2      1280      3.41       120",
        "small      79.0 ± 2.0  -0.031     10.2      1280      3.41       2.5",
        f"gone       failed: No such file: {'a' * 66}…",
        "Recommended: small. It is 48.2 times as fast as large,",
        "which is not better by more than one standard error.",
    ]
    assert ranking.best == "large"
    assert repr(ranking) == str(ranking)


def test_a_score_that_some_lack_is_a_dash():
    rows = [
        make_row("headed", 0.8, 1.0, leep=-1.234, nce=-0.0),
        make_row("bare", 0.7, 1.0),
    ]
    lines = str(BackboneRanking(rows, "headed", 10, 2)).splitlines()
    assert lines[1].split()[5:7] == ["LEEP", "NCE"]
    assert lines[2].split()[6:8] == ["-1.23", "-0"]
    assert lines[3].split()[6:8] == ["-", "-"]
    assert "old head alone" in lines[4]
