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
from tests import networks
from tests.callbacks import interrupted
from tests.callbacks.test_gradual_unfreezing import compile, data

NEVER = -1
# Each counted from where the training goes on, in arrays ten an epoch: its
# begin, four of its write, and five steps.
MOMENTS = {
    # In the first write, when there is nothing to go on from; in a step; after
    # a write; and in one, before it takes the place of the last.
    "arrays": [3, 16, 25, 24],
    "folder": [14, 25, 18],
}
PHASES = [
    kt.Phase("head", 2, 0.05),
    kt.Phase("all", 2, 0.01, schedule="one_cycle"),
]


def network():
    """Two dense layers and a head, with BatchNorm and dropout."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )


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


@pytest.mark.parametrize("kind", MOMENTS)
def test_killed_at_any_moment_it_ends_with_the_same_bits(kind, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        write_images(folder)
    assert run(kind, whole) == 0
    for moments in MOMENTS[kind]:
        assert run(kind, killed, moments) == -signal.SIGKILL
    assert run(kind, killed) == 0
    check_same(np.load(whole / "end.npz"), np.load(killed / "end.npz"))


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
    phases=PHASES,
    also=(),
    **more,
):
    """Train, or start to; return model and history."""
    keras.utils.set_random_seed(0)
    model = compile(more.pop("model", None) or network())
    if x is None:
        (x, y), more = data(), {"batch_size": 8, **more}
    settings = {"epochs": 4, "verbose": 0, "validation_data": data(), **more}
    callbacks = [kt.GradualUnfreezing(phases), kt.PhaseBackup(folder)]
    callbacks += [*also, Stop(batches)]
    try:
        return model, model.fit(x, y, callbacks=callbacks, **settings)
    except KeyboardInterrupt:
        return model, None


class Draw(keras.callbacks.Callback):
    """Draws random numbers in each step."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def on_train_batch_end(self, batch, logs=None):
        numbers = random.random(), np.random.rand(), keras.random.uniform(())
        self.drawn.append([float(number) for number in numbers])


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Train to the end: folder, numbers drawn, model, its values, history."""
    folder, draw = tmp_path_factory.mktemp("ended"), Draw()
    model, history = fit(folder, also=[draw])
    return folder, draw.drawn, model, all_values(model), history


@pytest.fixture(scope="module")
def cut_folder(tmp_path_factory):
    """Train into the second epoch, once for all tests."""
    folder = tmp_path_factory.mktemp("cut")
    fit(folder, batches=7)
    return folder


@pytest.fixture
def cut(cut_folder, tmp_path):
    """Copy the state of a training that was cut in its second epoch."""
    return shutil.copytree(cut_folder, tmp_path / "cut")


def all_values(model):
    return networks.values([*model.weights, *model.optimizer.variables])


class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        x, y = data()
        rows = slice(8 * index, 8 * index + 8)
        return x[rows], y[rows]


def make_data(kind):
    batches = tf.data.Dataset.from_tensor_slices(data()).shuffle(40)
    if kind == "shuffled":
        return {"x": batches.batch(8)}
    if kind == "repeated":
        return {"x": batches.repeat().batch(8), "steps_per_epoch": 4}
    return {"x": Rows()}


def test_arrays_and_random_numbers_go_on_where_they_were(ended, tmp_path):
    _, whole, _, expected, history = ended
    before, after = Draw(), Draw()
    fit(tmp_path, also=[before], batches=13)
    model, resumed = fit(tmp_path, also=[after])
    steps_of_whole_epochs = 10  # 2 epochs of 5; the third is trained again
    assert before.drawn == whole[:13]
    assert after.drawn == whole[steps_of_whole_epochs:]
    assert resumed.history == history.history
    assert resumed.epoch == history.epoch
    for a, b in zip(expected, all_values(model), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "batches"), [("shuffled", 7), ("repeated", 13)]
)
def test_data_goes_on_in_the_order_it_had(kind, batches, tmp_path):
    def run(folder, **more):
        keras.utils.set_random_seed(0)
        return fit(tmp_path / folder, **make_data(kind), **more)

    expected, history = run("whole")
    run("cut", batches=batches)
    model, resumed = run("cut")
    assert resumed.history == history.history
    assert resumed.epoch == history.epoch
    for a, b in zip(all_values(expected), all_values(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_order_that_code_decides_is_told_once(tmp_path):
    phases = [kt.Phase("all", 3, 0.01)]
    # Threads of the first `fit`, which never ended, would go on shuffling, or
    # drawing whatever random numbers the data draws.
    more = {**make_data("PyDataset"), "shuffle": False, "phases": phases}
    fit(tmp_path, **more, batches=7)
    with pytest.warns(UserWarning, match="PyDataset") as told:
        fit(tmp_path, **more)
    assert (
        len([w for w in told if "order of the batches" in str(w.message)]) == 1
    )


def test_another_random_state_is_told(cut, monkeypatch):
    keras.utils.set_random_seed(1)
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda seed: None)
    with pytest.warns(UserWarning, match="random state"):
        fit(cut, batches=1)


def test_a_plateau_is_counted_over_the_interruption(tmp_path):
    # Nothing is ever an improvement by 9: the first epoch stays the best.
    phases = [
        kt.Phase("head", 6, 0.05, patience=3, min_delta=9.0),
        kt.Phase("all", 1, 0.0),
    ]
    more = {"phases": phases, "epochs": 7}
    whole, history = fit(tmp_path / "whole", **more)
    fit(tmp_path / "cut", **more, batches=12)
    model, resumed = fit(tmp_path / "cut", **more)
    assert resumed.epoch == history.epoch == [0, 1, 2, 3, 4]
    for a, b in zip(whole.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_has_ended_is_not_trained_again(ended, capsys):
    folder, _, trained, values, history = ended
    model, again = fit(folder, verbose=0)
    assert "has ended after" in capsys.readouterr().out
    assert again.history == history.history
    for a, b in zip(values, all_values(model), strict=True):
        np.testing.assert_array_equal(a, b)
    flags = [weight.trainable for weight in trained.weights]
    assert flags == [weight.trainable for weight in model.weights]


@pytest.mark.parametrize("kind", ["ended", "cut"])
def test_other_data_is_told(kind, request):
    folder = request.getfixturevalue(kind)
    if kind == "ended":
        folder = folder[0]
    x, y = data(24)
    with pytest.warns(UserWarning, match="had 5 steps .* Received: 3 steps"):
        fit(folder, x, y, batch_size=8, batches=1)


def test_a_model_must_be_built(tmp_path):
    model = compile(keras.Sequential([keras.layers.Dense(3, "softmax")]))
    with pytest.raises(ValueError, match="must be built.*Received: model="):
        model.fit(*data(), verbose=0, callbacks=[kt.PhaseBackup(tmp_path)])


def test_the_next_fit_starts_from_its_own_first_epoch(cut):
    interrupted_again, _ = fit(cut, batches=3)
    ended, _ = fit(cut)
    found_ended, _ = fit(cut)
    for model in (interrupted_again, ended, found_ended):
        history = model.fit(*data(), epochs=2, verbose=0)
        assert history.epoch == [0, 1]


def test_metrics_may_give_a_value_for_each_class(tmp_path):
    def train(epochs):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(3, "softmax")]
        )
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


def test_it_says_where_it_goes_on(cut, capsys):
    fit(cut, verbose=2, batches=1)
    assert f"Going on with epoch 2 of 4, from {cut}" in (
        capsys.readouterr().out
    )


def test_it_works_without_phases(tmp_path):
    def train(stop, epochs=2):
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
    expected.fit(*data(), epochs=2, batch_size=8, verbose=0)
    assert train(7) is None
    model = train(0)
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # With more epochs, it goes on where it ended.
    assert int(train(0, epochs=3).optimizer.iterations) == 15


def test_another_model_is_refused(cut):
    other = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(3)]
    )
    before = other.get_weights()
    with pytest.raises(ValueError, match="another model or other phases"):
        fit(cut, model=other)
    for a, b in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_phases_are_refused(cut):
    with pytest.raises(ValueError, match="had other phases"):
        fit(cut, phases=[kt.Phase("head", 9, 0.05)])


def test_another_optimizer_is_refused(cut):
    model = compile(network(), "sgd")
    callbacks = [kt.GradualUnfreezing(PHASES)]
    callbacks.append(kt.PhaseBackup(cut))
    with pytest.raises(ValueError, match="had the optimizer Adam.*SGD"):
        model.fit(*data(), epochs=4, verbose=0, callbacks=callbacks)


def test_a_damaged_file_is_refused(cut):
    [path] = pathlib.Path(cut).iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged.*Received: "):
        fit(cut)


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
    fit(tmp_path, phases=phases, batches=12)
    model, _ = fit(tmp_path, phases=phases)
    assert len(choices) == 1
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
