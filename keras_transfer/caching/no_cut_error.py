"""What is raised, inside of the package, where caching cannot help."""


class NoCutError(Exception):
    """A model has no frozen part to compute once, or it cannot be kept."""


class NoRoomError(NoCutError):
    """It cannot be kept here, or not in this precision."""
