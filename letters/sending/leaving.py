"""Whether this worker is to end: told by its first process, seen by those that were forked from it."""

import mmap

_shared = mmap.mmap(-1, 1)  # one byte that parent and children have in common


def tell() -> None:
    """The worker was asked to end: rounds begin nothing any more, and finish what is on the lines."""
    _shared[0] = 1


def told() -> bool:
    """Whether that was said."""
    return _shared[0] == 1


def forget() -> None:
    """A worker begins."""
    _shared[0] = 0
