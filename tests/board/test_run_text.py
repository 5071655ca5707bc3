import keras

from keras_transfer.board.run_text import run_markdown


def test_it_says_what_trains_how_and_on_what():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2)], name="small"
    )
    model.compile("adamw")
    settings = {"learning_rates": "0.1, 0.2", "seed": 3, "mixup": None}
    text = run_markdown(model, "my_run", settings)
    lines = text.splitlines()
    assert lines[:7] == [
        r"### my\_run",
        "",
        "| model | small |",
        "|:--|:--|",
        "| weights | 8 |",
        "| optimizer | AdamW |",
        "| learning rates | 0.1, 0.2 |",
    ]
    assert "| seed | 3 |" in lines and "| mixup | None |" in lines
    assert f"Keras {keras.__version__}" in lines[-1]


def test_settings_do_not_replace_what_is_known():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd")
    text = run_markdown(model, "run", {"weights": "imagenet", "on": "flowers"})
    for row in (
        "| weights | 8 |",
        "| weights | imagenet |",
        "| on | flowers |",
    ):
        assert row in text
    assert text.count("| on |") == 2


def test_there_may_be_no_settings():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd")
    assert "| optimizer | SGD |" in run_markdown(model, "run", None)
