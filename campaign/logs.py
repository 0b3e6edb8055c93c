"""Keeps tokens of personal links out of the logs."""

import logging
import re

TOKEN_PATH = re.compile(r"/(confirm|refuse|thanks|my)/[^/\s]+")


class HideTokens(logging.Filter):
    """Cuts the token out of paths such as /fr/confirm/MQ:1x…/ in messages and tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.msg, record.args = hidden(record.getMessage()), None
        except (TypeError, ValueError, KeyError):
            pass  # message and arguments do not fit: logging says so itself
        if record.exc_info:
            record.exc_text = hidden(record.exc_text or logging.Formatter().formatException(record.exc_info))
        return True


def hidden(text: str) -> str:
    """Text without tokens."""
    return TOKEN_PATH.sub(r"/\1/…", text)
