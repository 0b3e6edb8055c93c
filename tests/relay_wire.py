"""The relay's end of one connection: lines and bodies come in, answers go out together."""

import contextlib
import socket
import ssl
import struct

DOT = b"\r\n.\r\n"
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


class Wire:
    """Answers wait until no more complete input is there, as in Postfix (RFC 2920)."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._heard = bytearray()
        self._said = bytearray()

    def line(self) -> bytes:
        """The next line with its end; b"" when the other side has left."""
        while not (end := self._heard.find(b"\n") + 1):
            if not self._hear():
                return b""
        return self._take(end)

    def body(self) -> bytes | None:
        """What comes before the final dot, its dots still doubled; None when it broke off."""
        self._heard[:0] = b"\r\n"  # a dot on the very first line is a final one, too
        searched = 0
        while (end := self._heard.find(DOT, searched)) < 0:
            searched = max(0, len(self._heard) - len(DOT))
            if not self._hear():
                return None
        return self._take(end + len(DOT))[2:-3]

    def early(self) -> bool:
        """Whether input waits already, though the last command has not been answered."""
        if not self._heard:
            self._connection.settimeout(0)
            try:
                self._heard += self._connection.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                pass  # nothing there
            finally:
                self._connection.settimeout(None)
        return bool(self._heard)

    def say(self, text: str) -> None:
        """Puts an answer to those that wait."""
        self._said += text.encode() + b"\r\n"

    def flush(self) -> None:
        """Sends the answers that wait."""
        if self._said:
            said, self._said = self._said, bytearray()
            self._connection.sendall(said)

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Goes over to TLS; what was heard in the clear beyond that is forgotten (CVE-2011-0411)."""
        self._heard.clear()
        self.flush()
        self._connection = context.wrap_socket(
            self._connection, server_side=True, do_handshake_on_connect=False
        )
        self._connection.do_handshake()

    def hang_up(self) -> None:
        """Ends in order: what was said arrives, though the other side may still be talking."""
        self.flush()
        self._connection.settimeout(0)
        if isinstance(self._connection, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):  # says goodbye, does not wait for the answer
                self._connection.unwrap()
        socket.socket.shutdown(self._connection, socket.SHUT_WR)
        self._connection.settimeout(1)
        while socket.socket.recv(self._connection, CHUNK):
            pass  # a close with unread input would be a reset

    def cut(self) -> None:
        """Ends without a word; another thread may call it."""
        with contextlib.suppress(OSError):  # closed by the other side already
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def reset(self) -> None:
        """Ends by a TCP reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._connection.close()

    def close(self) -> None:
        """Gives the socket back."""
        self._connection.close()

    def _hear(self) -> bool:
        self.flush()
        heard = self._connection.recv(CHUNK)
        self._heard += heard
        return bool(heard)

    def _take(self, end: int) -> bytes:
        taken = bytes(self._heard[:end])
        del self._heard[:end]
        return taken
