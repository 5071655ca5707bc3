"""What files must have in common to stay on the same side of a split."""

import os
import pathlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence


def make_key_function(
    split_by: str | Callable[[str], str], folder: str
) -> Callable[[str], str] | None:
    """Make a function from a path to what its file must share with others.

    Args:
        split_by: As for `load_image_folder`.
        folder: The folder that holds the class folders.

    Returns:
        The function; `None` stands for the content of a file.

    Raises:
        ValueError: If `split_by` is of another kind.
    """
    if split_by == "content":
        return None
    if split_by == "name":
        # macOS stores accents decomposed, others as they were typed.
        return lambda path: unicodedata.normalize(
            "NFC", pathlib.Path(path).stem
        )
    if not callable(split_by):
        raise ValueError(
            '`split_by` must be "content", "name" or a function of a path. '
            f"Received: split_by={split_by!r}"
        )
    # Without the folder, the keys stay the same when it is moved.
    return lambda path: str(
        split_by(pathlib.Path(path).relative_to(folder).as_posix())
    )


def find_groups(groups, paths: Sequence[str], folder: str) -> dict[str, str]:
    """Find the group of each file.

    Args:
        groups: As for `load_image_folder`.
        paths: The files.
        folder: The folder that holds the class folders.

    Returns:
        A dictionary from those of `paths` that are in a group to its name.

    Raises:
        ValueError: If `groups` is of another kind, or about other files.
    """
    named = getattr(groups, "groups", groups)
    if not isinstance(named, Mapping):
        raise ValueError(
            "`groups` must be the report of `audit_images`, or a dictionary "
            f"from paths to names of groups. Received: groups={groups!r}"
        )
    places = _find_places(named, paths, folder, "groups")
    return {place: str(named[path]) for path, place in places.items()}


def link_files(
    groups: Mapping[str, str], paths: Sequence[str], contents: Mapping[str, str]
) -> list[list[str]]:
    """List for each file what links it with others: its group, its content.

    Args:
        groups: From `find_groups`.
        paths: The files.
        contents: The content key of each.
    """
    links = [[f"content {contents[path]}"] for path in paths]
    for link, path in zip(links, paths, strict=True):
        if path in groups:
            link.append(f"group {groups[path]}")
    return links


def leave_out(
    exclude: Iterable[str | os.PathLike], paths: Sequence[str], folder: str
) -> set[str]:
    """Find the files to leave out.

    Args:
        exclude: As for `load_image_folder`.
        paths: The files there are.
        folder: The folder that holds the class folders.

    Returns:
        Those of `paths` that are named.

    Raises:
        ValueError: If `exclude` is of another kind, or about other files.
    """
    if isinstance(exclude, str | os.PathLike):
        raise ValueError(
            "`exclude` must be a list of paths, as `report.exclude()` gives "
            f"it. Received: exclude={exclude!r}"
        )
    return set(_find_places(list(exclude), paths, folder, "exclude").values())


def _find_places(named, paths, folder, argument) -> dict:
    """Find which of the paths are meant, absolute or inside the folder."""
    known = {os.path.abspath(path): path for path in paths}
    places = {}
    for name in named:
        inside = os.path.join(folder, name)
        for place in (os.path.abspath(name), os.path.abspath(inside)):
            if place in known:
                places[name] = known[place]
    if named and not places:
        raise ValueError(
            f"None of the paths in `{argument}` is an image of this folder. "
            "They must be absolute, or start at the folder. "
            f"Received: {argument} with {os.fspath(next(iter(named)))!r}, "
            f"folder={folder}"
        )
    return places
