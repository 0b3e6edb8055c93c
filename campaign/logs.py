"""Keeps tokens of personal links out of the logs."""

import logging
import re

TOKEN_PATH = re.compile(r"/(confirm|refuse|thanks|my)/[^/\s]+")


class HideTokens(logging.Filter):
    """Cuts the token out of paths such as /fr/confirm/MQ:1x…/ in messages and their arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = hidden(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(hidden(value) for value in record.args)
        return True


def hidden(value: object) -> object:
    """Text without tokens; anything else as it is."""
    return TOKEN_PATH.sub(r"/\1/…", value) if isinstance(value, str) else value
