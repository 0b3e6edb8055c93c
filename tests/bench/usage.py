"""What processes cost: CPU seconds of a tree, memory that is its own alone."""

import threading
from types import TracebackType

import psutil

postgres_pid: int | None = None  # of the private server


def of_tree(pid: int) -> float:
    """User and system seconds of a process, its descendants, and those that have ended."""
    total = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def of_postgres() -> float:
    """The same for the private PostgreSQL, 0 where it is somebody else's."""
    return of_tree(postgres_pid) if postgres_pid else 0.0


class Peak:
    """The most memory that a tree's processes had to themselves, looked at four times a second."""

    def __init__(self, pid: int) -> None:
        self.pid, self.megabytes = pid, 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self.megabytes = max(self.megabytes, sum(map(_own, _tree(self.pid))) / 1e6)


def _own(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
