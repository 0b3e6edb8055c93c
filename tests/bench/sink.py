"""A relay that takes everything and counts it: `python -m tests.bench.sink PORT [DELAY_MS]`, until SIGTERM.

Pipelines, knows nothing of faults (for those see tests/relay.py), and answers XSTAT with how many messages
and connections it has seen.
"""

import asyncio
import signal
import sys

HELLO = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 52428800\r\n"
ENDING = b"\r\n.\r\n"


class Counts:
    messages = 0
    connections = 0


class Session(asyncio.Protocol):
    """One connection. `delay` is in seconds, before the answer to each message."""

    def __init__(self, delay: float) -> None:
        self.delay, self.buffer, self.in_body = delay, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Counts.connections += 1
        self.transport = transport
        transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answers = b""
        while True:
            if self.in_body:
                end = self.buffer.find(ENDING)
                if end < 0:
                    break
                self.buffer, self.in_body = self.buffer[end + len(ENDING) :], False
                Counts.messages += 1
                if self.delay:  # whatever follows waits: a relay answers in order
                    self.transport.write(answers)
                    self.transport.pause_reading()
                    asyncio.get_running_loop().call_later(self.delay, self.go_on)
                    return
                answers += b"250 2.0.0 Ok: queued\r\n"
                continue
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                break
            self.buffer = rest
            answers += self.answer(line)
        if answers:
            self.transport.write(answers)

    def go_on(self) -> None:
        self.transport.write(b"250 2.0.0 Ok: queued\r\n")
        self.transport.resume_reading()
        self.data_received(b"")

    def answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO":
            return HELLO
        if verb == b"DATA":
            self.in_body = True
            return b"354 go on\r\n"
        if verb == b"XSTA":
            return f"250 messages={Counts.messages} connections={Counts.connections}\r\n".encode()
        if verb == b"QUIT":
            self.transport.close()
            return b"221 bye\r\n"
        return b"250 2.1.0 Ok\r\n"


async def serve(port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(delay), "127.0.0.1", port, backlog=200)
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    async with server:
        await done.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2] if len(sys.argv) > 2 else 0) / 1000))
