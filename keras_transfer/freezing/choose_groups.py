"""Which layer groups a user means."""

import re
from collections.abc import Iterable, Sequence


def choose_groups(
    names: Sequence[str], wanted, argument: str = "train"
) -> set[str]:
    """Choose layer groups by words, a pattern or their names.

    Args:
        names: The names of all groups, from input to output.
        wanted: As `train` of `set_trainable`.
        argument: What it is called in messages. Defaults to `"train"`.

    Returns:
        The names of the groups that are meant.

    Raises:
        ValueError: If there are none of that kind, with the list of those
            that exist.
    """
    exist = f"The layer groups of this model are: {', '.join(names)}."
    received = f"Received: {argument}={wanted!r}"
    if not isinstance(wanted, str):
        listed = list(wanted) if isinstance(wanted, Iterable) else [wanted]
        unknown = [name for name in listed if name not in names]
        if unknown:
            raise ValueError(
                f"Unknown layer groups: {unknown}. {exist} {received}"
            )
        return set(listed)
    if wanted in ("all", "none"):
        return set(names) if wanted == "all" else set()
    depth = re.fullmatch(r"top:(\d+)", wanted)
    if depth or wanted == "head":
        below = int(depth.group(1)) if depth else 0
        if names[-1] != "head" or below >= len(names):
            raise ValueError(
                f"`{argument}` asks for a head and groups below it that this "
                f"model does not have. {exist} {received}"
            )
        return set(names[-1 - below :])
    try:
        chosen = {name for name in names if re.fullmatch(wanted, name)}
    except re.error as error:
        raise ValueError(
            f"`{argument}` is not a regular expression ({error}). {exist} "
            f"{received}"
        ) from error
    if not chosen:
        raise ValueError(
            f"No layer group's name matches. {exist} "
            f'Or pass "head", "top:N", "all" or "none". {received}'
        )
    return chosen
