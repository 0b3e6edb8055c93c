"""Opening a line to a relay: greeting, EHLO or HELO, STARTTLS (RFC 3207), AUTH (RFC 4954)."""

import asyncio
import base64
import ssl
from dataclasses import dataclass

from letters.sending.smtp import Desk, Line, Stage


@dataclass(frozen=True)
class Relay:
    """Where mail is handed over, and how. `timeout` is in seconds, of each answer and of the opening."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    use_tls: bool = False  # STARTTLS demanded
    use_ssl: bool = False  # TLS from the start
    timeout: float = 30.0
    hello: str = "localhost"


class CannotOpen(Exception):
    """The relay could not be reached, or turned us away; says at which stage. Nothing was offered to it."""

    def __init__(self, stage: Stage, why: str) -> None:
        super().__init__(f"{stage}: {why}")
        self.stage = stage


async def open_line(relay: Relay, desk: Desk) -> Line:
    """A line on which jobs can be offered. Raises CannotOpen, within the relay's timeout."""
    line: Line | None = None
    try:
        async with asyncio.timeout(relay.timeout):
            line = await _connect(relay, desk)
            await _greet(line, relay)
            return line
    except CannotOpen:
        _drop(line)
        raise
    except TimeoutError:
        _drop(line)
        raise CannotOpen(Stage.CONNECT, f"no answer in {relay.timeout:g} s") from None
    except OSError as error:  # ssl.SSLError among them
        _drop(line)
        raise CannotOpen(Stage.CONNECT, str(error)) from None
    except BaseException:
        _drop(line)
        raise


async def _connect(relay: Relay, desk: Desk) -> Line:
    tls = ssl.create_default_context() if relay.use_ssl else None
    loop = asyncio.get_running_loop()
    line = Line(desk)
    await loop.create_connection(lambda: line, relay.host, relay.port, ssl=tls)
    return line


async def _greet(line: Line, relay: Relay) -> None:
    assert line.asked is not None
    code, text = await line.asked
    if code != 220:
        raise CannotOpen(Stage.CONNECT, f"{code} {text}")
    await _hello(line, relay)
    if relay.use_tls:
        await _start_tls(line, relay)
        await _hello(line, relay)
    if relay.username:
        await _authenticate(line, relay)


async def _ask(line: Line, stage: Stage, command: str) -> tuple[int, str]:
    if line.transport is None:
        raise CannotOpen(stage, "the relay closed the connection")
    line.asked = asked = asyncio.get_running_loop().create_future()
    line.transport.write(command.encode() + b"\r\n")
    try:
        answer: tuple[int, str] = await asked
        return answer
    except ConnectionError as error:
        raise CannotOpen(stage, str(error)) from None


async def _demand(line: Line, stage: Stage, command: str, wanted: int) -> str:
    code, text = await _ask(line, stage, command)
    if code != wanted:
        raise CannotOpen(stage, f"{code} {text}")
    return text


async def _hello(line: Line, relay: Relay) -> None:
    code, text = await _ask(line, Stage.HELLO, f"EHLO {relay.hello}")
    if code in (500, 501, 502, 504):  # a relay of RFC 821, which has no extensions
        await _demand(line, Stage.HELLO, f"HELO {relay.hello}", 250)
        text = ""
    elif code != 250:
        raise CannotOpen(Stage.HELLO, f"{code} {text}")
    offered = [one.partition(" ") for one in text.splitlines()[1:]]
    line.extensions = {name.upper(): value for name, _, value in offered}


async def _start_tls(line: Line, relay: Relay) -> None:
    await _demand(line, Stage.HELLO, "STARTTLS", 220)
    if line.pending or line.transport is None:
        raise CannotOpen(Stage.HELLO, "the relay said something before TLS that is not to be believed")
    loop = asyncio.get_running_loop()
    transport = await loop.start_tls(
        line.transport, line, ssl.create_default_context(), server_hostname=relay.host
    )
    assert isinstance(transport, asyncio.Transport)
    line.transport = transport


async def _authenticate(line: Line, relay: Relay) -> None:
    methods = line.extensions.get("AUTH", "PLAIN").upper().split()
    if "PLAIN" in methods or "LOGIN" not in methods:
        plain = _coded(f"\0{relay.username}\0{relay.password}")
        await _demand(line, Stage.AUTH, f"AUTH PLAIN {plain}", 235)
        return
    await _demand(line, Stage.AUTH, "AUTH LOGIN", 334)
    await _demand(line, Stage.AUTH, _coded(relay.username), 334)
    await _demand(line, Stage.AUTH, _coded(relay.password), 235)


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _drop(line: Line | None) -> None:
    if line is not None:
        line.close("it could not be opened")
