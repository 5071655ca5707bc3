"""Settings for every test: no GPU, quiet TensorFlow, fixed seeds."""

import gc
import os
import tempfile

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Its threads would spin while those of TensorFlow work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# What is cached there may come from other code.
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras_transfer_tests_")

import keras
import pytest

# Graphs of hundreds of tests are not worth looking through all the time.
gc.set_threshold(100_000, 50, 100)


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    keras.utils.set_random_seed(0)
    yield
    keras.utils.clear_session(free_memory=False)
