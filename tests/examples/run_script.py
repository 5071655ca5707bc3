"""Run one of the example scripts as a user does."""

import os
import pathlib
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def run_script(name: str, options: str, folder: pathlib.Path) -> str:
    """Run a script in a folder; return what it printed.

    Args:
        name: Its name, without `.py`.
        options: Its options, none of which holds a space.
        folder: The working directory.
    """
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *options.split()],
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
