"""The raw limit of a sink: finished messages pushed through plain sockets by two processes, pipelined."""

import socket
import subprocess
import sys
import time
from pathlib import Path

MESSAGE = (
    b"Subject: x\r\n\r\n" + b"A line of a letter that is as long as lines are in letters, mostly.\r\n" * 62
)
ENVELOPE = b"MAIL FROM:<a@campaign.example>\r\nRCPT TO:<b@mfa.example>\r\nDATA\r\n"
PROCESSES = 2
ROOT = Path(__file__).resolve().parents[2]


def wait_for(port: int, seconds: float = 20.0) -> None:
    """Waits until something answers on a port. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def counted(port: int) -> int:
    """How many messages our sink has taken."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        answers = line.makefile("rb")
        answers.readline()
        line.sendall(b"XSTAT\r\n")
        return int(answers.readline().split(b"messages=")[1].split()[0])


def raw_rate(port: int, connections: int, messages: int) -> float:
    """Messages a second that plain sockets get through, kept connections, one turn a message."""
    lines, each = max(1, connections // PROCESSES), messages // PROCESSES
    command = [sys.executable, "-m", "tests.bench.limit", str(port), str(lines), str(each)]
    pushers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    seconds = [float(pusher.communicate(timeout=300)[0]) for pusher in pushers]
    return each // lines * lines * PROCESSES / max(seconds)


def push(port: int, lines: int, messages: int) -> float:
    """Pushes so many messages over so many connections; gives the seconds that it took."""
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(lines)]
    files = [one.makefile("rb") for one in sockets]
    for one, answers in zip(sockets, files, strict=True):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers.readline()
        one.sendall(b"EHLO bench\r\n")
        while answers.readline()[3:4] == b"-":
            pass
        one.sendall(ENVELOPE)
    begun = time.perf_counter()
    for _ in range(messages // lines):
        for one, answers in zip(sockets, files, strict=True):
            while (answer := answers.readline())[:3] != b"354":
                assert answer, "the sink closed a connection"
            one.sendall(MESSAGE + b".\r\n" + ENVELOPE)
    for answers in files:
        for _ in range(4):  # to the last dot, and to the envelope that follows it
            answers.readline()
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(push(*map(int, sys.argv[1:4])))
