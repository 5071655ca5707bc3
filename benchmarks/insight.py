"""What the insights are worth: audit, ranking, groups to train, verdict.

    python benchmarks/insight.py --data FOLDER

The folder holds `clipart14` and `emoji13`, as for `strategies.py`. Each part is
a script of its own and prints a table with targets; what the longer ones have
found is added to a file in `--results`, and not run again. From nothing, all of
it takes a night.
"""

import argparse
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
# The file that each adds its results to, if it takes one.
PARTS = {
    "audit": None,
    "ranking": "ranking.jsonl",
    "ranking_cost": None,
    "grid": "grid.jsonl",
    "verdict": "verdict.jsonl",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument(
        "--results", type=pathlib.Path, default=HERE / "results"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    for part in options.parts:
        print(f"\n## {part}\n", flush=True)
        command = [sys.executable, HERE / f"insight_{part}.py"]
        command += ["--data", options.data]
        if PARTS[part]:
            command += ["--results", options.results / PARTS[part]]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
