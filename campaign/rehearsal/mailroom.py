"""The post office's window: a small page on loopback where supporters' mail can be read."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from campaign.rehearsal.replies import Received

LINK = re.compile(r"https?://[^\s<>\"']+")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} – post office</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }}
  pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font: inherit }}
  li {{ margin: .5rem 0 }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""


def list_page(mails: Sequence[Received]) -> str:
    """All kept mail, newest first, each a link; looks again every five seconds by itself."""
    rows = [
        f'<li><a href="/{number}">{escape(str(mail.message["Subject"]))}</a>'
        f"<br>to <bdi>{escape(mail.recipient)}</bdi></li>"
        for number, mail in reversed(list(enumerate(mails)))
    ]
    body = "<p>Mail to supporters, whatever address they gave, is kept here and goes nowhere else.</p>"
    body += f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nothing has arrived yet.</p>"
    return PAGE.format(title="Post office", refresh='<meta http-equiv="refresh" content="5">', body=body)


def mail_page(mail: Received) -> str:
    """One mail: its text part, escaped, its links to be followed."""
    facts = "".join(
        f"<br>{name}: <bdi>{escape(str(mail.message[name]))}</bdi>" for name in ("From", "To", "Date")
    )
    body = f'<p><a href="/">All mail</a>{facts}</p><pre>{linked(mail.text)}</pre>'
    return PAGE.format(title=escape(str(mail.message["Subject"])), refresh="", body=body)


def linked(text: str) -> str:
    """A text as HTML: escaped, with its web addresses made links."""
    out, end = [], 0
    for found in LINK.finditer(text):
        url = escape(found[0])
        out += [escape(text[end : found.start()]), f'<a href="{url}" rel="noreferrer">{url}</a>']
        end = found.end()
    return "".join([*out, escape(text[end:])])


@contextmanager
def open_mailroom(mails: Sequence[Received]) -> Iterator[str]:
    """Serves the page on a free port of 127.0.0.1 and yields its address. Read-only."""

    class Window(BaseHTTPRequestHandler):
        """Answers GET / and GET /<number>."""

        def do_GET(self) -> None:
            """Show the list or one mail."""
            name = self.path.partition("?")[0].strip("/")
            if not name:
                self._show(200, list_page(mails))
            elif name.isascii() and name.isdigit() and int(name[:9]) < len(mails):
                self._show(200, mail_page(mails[int(name[:9])]))
            else:
                self._show(
                    404, PAGE.format(title="Nothing here", refresh="", body='<a href="/">All mail</a>')
                )

        def log_message(self, *args: object) -> None:
            """Say nothing: the terminal belongs to the demo."""

        def _show(self, status: int, page: str) -> None:
            content = page.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Window)
    thread = threading.Thread(target=server.serve_forever, name="mailroom", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
