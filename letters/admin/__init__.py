"""Letters in the admin: thin doors to the verbs of the storey."""

from letters.admin import campaigns, incoming, ledger, paces, texts

__all__ = ["campaigns", "incoming", "ledger", "paces", "texts"]
