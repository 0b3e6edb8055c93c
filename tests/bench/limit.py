"""The raw limit of a sink: finished messages pushed through plain sockets by two processes, pipelined."""

import multiprocessing
import socket
import time

MESSAGE = (
    b"Subject: x\r\n\r\n" + b"A line of a letter that is as long as lines are in letters, mostly.\r\n" * 62
)
ENVELOPE = b"MAIL FROM:<a@campaign.example>\r\nRCPT TO:<b@mfa.example>\r\nDATA\r\n"
PROCESSES = 2


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
    each, lines = messages // PROCESSES, max(1, connections // PROCESSES)
    begun = time.perf_counter()
    pushers = [multiprocessing.Process(target=_push, args=(port, lines, each)) for _ in range(PROCESSES)]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join()
    return each * PROCESSES / (time.perf_counter() - begun)


def _push(port: int, lines: int, messages: int) -> None:
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(lines)]
    files = [one.makefile("rb") for one in sockets]
    for one, answers in zip(sockets, files, strict=True):
        answers.readline()
        one.sendall(b"EHLO bench\r\n")
        while answers.readline()[3:4] == b"-":
            pass
        one.sendall(ENVELOPE)
    for _ in range(messages // lines):
        for one, answers in zip(sockets, files, strict=True):
            while not answers.readline().startswith(b"354"):
                pass
            one.sendall(MESSAGE + b".\r\n" + ENVELOPE)
    for one in sockets:
        one.close()
