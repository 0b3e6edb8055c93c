"""What is read once while many letters are composed: a campaign's texts, its organisers, salutations."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_memory: ContextVar[dict[Hashable, Any] | None] = ContextVar("memory", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Within it, and no longer, `once` reads each thing once."""
    token = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(token)


def once[Thing](key: Hashable, read: Callable[[], Thing]) -> Thing:
    """What `read` gives: as it is now, or as it was a moment ago where somebody remembers."""
    memory = _memory.get()
    if memory is None:
        return read()
    if key not in memory:
        memory[key] = read()
    thing: Thing = memory[key]
    return thing
