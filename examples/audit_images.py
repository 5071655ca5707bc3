"""Look for what is wrong with class folders of pictures, before training.

    python examples/audit_images.py
    python examples/audit_images.py --data photos --html audit.html

`photos` holds a folder of images for each class, or `train`, `validation` and
`test` with such folders each. Prints what was found and what to leave out, and
writes a page with the pictures. Nothing is deleted.
"""

import argparse
import pathlib

from keras_transfer.insight.audit_images import audit_images

CLIPART = pathlib.Path(__file__).parent / "data" / "clipart14"


def main():
    arguments = read_arguments()
    report = audit_images(arguments.data)
    excluded = report.exclude()
    print(f"\nTo leave out, {len(excluded)} files:")
    for path in excluded:
        print(f"  {path}")
    report.to_html(arguments.html)
    print(f"The pictures are in {arguments.html}.")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default=CLIPART,
        help="folder of class folders (default: the clip art beside this file)",
    )
    parser.add_argument(
        "--html",
        default="audit.html",
        help="file for the page (default: %(default)s)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
