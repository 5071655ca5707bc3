"""What was killed ends as what was not: real processes, real kills."""

import multiprocessing
import pathlib
import random
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_transfer as kt
from tests.callbacks import interrupted
from tests.callbacks.test_gradual_unfreezing import compile, data, network

NEVER = -1


def run(kind, folder, moments=NEVER):
    """Run a training in a new process; return how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.callbacks.interrupted"])
    process = context.Process(
        target=interrupted.run, args=(kind, str(folder), moments)
    )
    process.start()
    process.join()
    return process.exitcode


def write_images(folder, count=36):
    generator = np.random.default_rng(0)
    for n in range(count):
        place = folder / "images" / "abc"[n % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = generator.uniform(0, 255, (8, 8, 3)).astype("uint8")
        Image.fromarray(pixels).save(place / f"{n}.png")


@pytest.mark.parametrize("kind", ["arrays", "folder"])
def test_killed_at_random_moments_it_ends_with_the_same_bits(kind, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        write_images(folder)
    assert run(kind, whole) == 0
    expected = np.load(whole / "end.npz")
    generator = np.random.default_rng({"arrays": 5, "folder": 6}[kind])
    kills = 0
    while kills < 10:
        code = run(kind, killed, int(generator.integers(1, 60)))
        if code == 0:
            check_same(expected, np.load(killed / "end.npz"))
            shutil.rmtree(killed)
            write_images(killed)
        else:
            assert code == -signal.SIGKILL
            kills += 1
    assert run(kind, killed) == 0
    check_same(expected, np.load(killed / "end.npz"))


def check_same(expected, found):
    assert sorted(expected.files) == sorted(found.files)
    for name in expected.files:
        np.testing.assert_array_equal(expected[name], found[name])


class Stop(keras.callbacks.Callback):
    """Interrupts a training as a person does."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch, logs=None):
        self.batches -= 1
        if self.batches == 0:
            raise KeyboardInterrupt


def fit(
    folder,
    x=None,
    y=None,
    *,
    batches=0,
    phases=interrupted.PHASES,
    also=(),
    **more,
):
    """Train, or start to; return model and history."""
    keras.utils.set_random_seed(0)
    model = compile(more.pop("model", None) or network())
    if x is None:
        (x, y), more = data(), {"batch_size": 8, **more}
    settings = {"epochs": 9, "verbose": 0, "validation_data": data(), **more}
    callbacks = [kt.GradualUnfreezing(phases), kt.PhaseBackup(folder)]
    callbacks += [*also, Stop(batches)]
    try:
        return model, model.fit(x, y, callbacks=callbacks, **settings)
    except KeyboardInterrupt:
        return model, None


class Noisy(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        x, y = data()
        rows = slice(8 * index, 8 * index + 8)
        return x[rows] + np.random.normal(size=(8, 1)), y[rows]


def make_data(kind):
    x, y = data()
    batches = tf.data.Dataset.from_tensor_slices((x, y))
    if kind == "shuffled":
        return {"x": batches.shuffle(40).batch(8)}
    if kind == "repeated":
        return {
            "x": batches.shuffle(40).repeat().batch(8),
            "steps_per_epoch": 4,
        }
    if kind == "PyDataset":
        return {"x": Noisy()}
    return {}


@pytest.mark.parametrize("kind", ["arrays", "shuffled", "repeated"])
@pytest.mark.parametrize("batches", [7, 23])
def test_data_goes_on_in_the_order_it_had(kind, batches, tmp_path):
    keras.utils.set_random_seed(0)
    expected, history = fit(tmp_path / "whole", **make_data(kind))
    keras.utils.set_random_seed(0)
    fit(tmp_path / "cut", **make_data(kind), batches=batches)
    keras.utils.set_random_seed(0)
    model, resumed = fit(tmp_path / "cut", **make_data(kind))
    assert resumed.history == history.history
    assert resumed.epoch == history.epoch
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        expected.optimizer.variables, model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


class Draw(keras.callbacks.Callback):
    """Draws random numbers in each step."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def on_train_batch_end(self, batch, logs=None):
        numbers = random.random(), np.random.rand(), keras.random.uniform(())
        self.drawn.append([float(number) for number in numbers])


def test_random_numbers_go_on_where_they_were(tmp_path):
    whole, before, after = Draw(), Draw(), Draw()
    fit(tmp_path / "whole", also=[whole])
    fit(tmp_path / "cut", also=[before], batches=23)
    fit(tmp_path / "cut", also=[after])
    steps_of_whole_epochs = 20  # 4 epochs of 5; the fifth is trained again
    assert before.drawn == whole.drawn[:23]
    assert after.drawn == whole.drawn[steps_of_whole_epochs:]


def test_order_that_code_decides_is_told_once(tmp_path):
    # Threads of the first `fit`, which never ended, would go on shuffling.
    fit(tmp_path, **make_data("PyDataset"), shuffle=False, batches=7)
    with pytest.warns(UserWarning, match="PyDataset") as told:
        fit(tmp_path, **make_data("PyDataset"), shuffle=False)
    assert (
        len([w for w in told if "order of the batches" in str(w.message)]) == 1
    )


def test_another_random_state_is_told(tmp_path, monkeypatch):
    fit(tmp_path, batches=7)
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda seed: None)
    with pytest.warns(UserWarning, match="random state"):
        fit(tmp_path)


def test_a_plateau_is_counted_over_the_interruption(tmp_path):
    # Nothing is ever an improvement by 9: the first epoch stays the best.
    phases = [
        kt.Phase("head", 6, 0.05, patience=3, min_delta=9.0),
        kt.Phase("all", 1, 0.0),
    ]
    whole, history = fit(tmp_path / "whole", phases=phases)
    fit(tmp_path / "cut", phases=phases, batches=12)
    model, resumed = fit(tmp_path / "cut", phases=phases)
    assert resumed.epoch == history.epoch == [0, 1, 2, 3, 4]
    for a, b in zip(whole.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_has_ended_is_not_trained_again(tmp_path, capsys):
    trained, history = fit(tmp_path)
    model, again = fit(tmp_path, verbose=0)
    assert "has ended after" in capsys.readouterr().out
    assert again.history == history.history
    for a, b in zip(trained.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    flags = [weight.trainable for weight in trained.weights]
    assert flags == [weight.trainable for weight in model.weights]


@pytest.mark.parametrize("epochs", [1, 4])
def test_other_data_is_told(epochs, tmp_path):
    phases = [kt.Phase("all", epochs, 0.1)]
    fit(tmp_path, phases=phases, batches=0 if epochs == 1 else 7)
    x, y = data(24)
    with pytest.warns(UserWarning, match="had 5 steps .* Received: 3 steps"):
        fit(tmp_path, x, y, batch_size=8, phases=phases)


def test_a_model_must_be_built(tmp_path):
    model = compile(keras.Sequential([keras.layers.Dense(3, "softmax")]))
    with pytest.raises(ValueError, match="must be built.*Received: model="):
        model.fit(*data(), verbose=0, callbacks=[kt.PhaseBackup(tmp_path)])


def test_the_next_fit_starts_from_its_own_first_epoch(tmp_path):
    fit(tmp_path, batches=23)
    interrupted_again, _ = fit(tmp_path, batches=3)
    ended, _ = fit(tmp_path)
    found_ended, _ = fit(tmp_path)
    for model in (interrupted_again, ended, found_ended):
        history = model.fit(*data(), epochs=2, verbose=0)
        assert history.epoch == [0, 1]


def test_metrics_may_give_a_value_for_each_class(tmp_path):
    def train(epochs):
        model = network()
        model.compile(
            "adam",
            "categorical_crossentropy",
            metrics=[keras.metrics.F1Score()],
        )
        x, y = data()
        return model.fit(
            x,
            keras.utils.to_categorical(y, 3),
            epochs=epochs,
            verbose=0,
            callbacks=[kt.PhaseBackup(tmp_path)],
        )

    first = train(2).history["f1_score"]
    again = train(3).history["f1_score"]
    np.testing.assert_array_equal(again[:2], first)
    assert np.shape(again) == (3, 3)


def test_it_says_where_it_goes_on(tmp_path, capsys):
    fit(tmp_path, batches=12)
    capsys.readouterr()
    fit(tmp_path, verbose=2)
    assert f"Going on with epoch 3 of 9, from {tmp_path}" in (
        capsys.readouterr().out
    )


def test_it_works_without_phases(tmp_path):
    def train(stop, epochs=4):
        keras.utils.set_random_seed(0)
        model = compile(network())
        callbacks = [kt.PhaseBackup(tmp_path / "alone"), Stop(stop)]
        try:
            model.fit(
                *data(),
                epochs=epochs,
                batch_size=8,
                verbose=0,
                callbacks=callbacks,
            )
        except KeyboardInterrupt:
            return None
        return model

    keras.utils.set_random_seed(0)
    expected = compile(network())
    expected.fit(*data(), epochs=4, batch_size=8, verbose=0)
    assert train(13) is None
    model = train(0)
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # With more epochs, it goes on where it ended.
    assert int(train(0, epochs=5).optimizer.iterations) == 25


def test_another_model_is_refused(tmp_path):
    fit(tmp_path, batches=7)
    other = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(3)]
    )
    before = other.get_weights()
    with pytest.raises(ValueError, match="another model or other phases"):
        fit(tmp_path, model=other)
    for a, b in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_phases_are_refused(tmp_path):
    fit(tmp_path, batches=7)
    with pytest.raises(ValueError, match="had other phases"):
        fit(tmp_path, phases=[kt.Phase("head", 9, 0.05)])


def test_another_optimizer_is_refused(tmp_path):
    fit(tmp_path, batches=7)
    model = compile(network(), "sgd")
    callbacks = [kt.GradualUnfreezing(interrupted.PHASES)]
    callbacks.append(kt.PhaseBackup(tmp_path))
    with pytest.raises(ValueError, match="had the optimizer Adam.*SGD"):
        model.fit(*data(), epochs=9, verbose=0, callbacks=callbacks)


def test_a_damaged_file_is_refused(tmp_path):
    fit(tmp_path, batches=7)
    [path] = pathlib.Path(tmp_path).iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged.*Received: "):
        fit(tmp_path)


@pytest.mark.parametrize("directory", ["", None])
def test_it_needs_a_folder(directory):
    with pytest.raises(ValueError, match="Received: directory="):
        kt.PhaseBackup(directory)


def test_phases_can_be_chosen_as_they_begin(tmp_path):
    """What was chosen is kept, not chosen again."""
    choices = []

    def choose(model):
        choices.append(1)
        return 0.01 / len(choices)

    phases = [kt.Phase("head", 1, 0.1), kt.Phase("all", 3, choose)]
    fit(tmp_path, phases=phases, batches=12, epochs=4)
    model, _ = fit(tmp_path, phases=phases, epochs=4)
    assert len(choices) == 1
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
