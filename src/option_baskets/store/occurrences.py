"""Decisions and deeds as items of the history, for every part of the store that keeps them with what they change."""

import hashlib

from option_baskets.ports import Item, Put
from option_baskets.store import codec, keys
from option_baskets.store.records import Occurrence
from option_baskets.store.shelf import HISTORY


def put(occurrence: Occurrence) -> Put:
    """The write of it; the same one twice is the same item."""
    about = "\x1f".join((occurrence.run_id, occurrence.account, occurrence.subject))
    name = f"{occurrence.what}#{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    pk, sk = keys.occurrence(occurrence.user_id, occurrence.at, occurrence.strategy_id, name)
    return Put(table=HISTORY, item=Item(pk=pk, sk=sk, body=codec.encode(occurrence)))
