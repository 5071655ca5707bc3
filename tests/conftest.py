"""Settings for every test: no GPU, quiet TensorFlow, fixed seeds."""

import os
import tempfile

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# What is cached there may come from other code.
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras_transfer_tests_")

import keras
import pytest


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    keras.utils.set_random_seed(0)
    yield
    keras.utils.clear_session(free_memory=False)
