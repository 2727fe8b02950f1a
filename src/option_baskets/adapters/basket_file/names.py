"""Identities from names: the same file gives the same ids, whoever loads it and when."""

import hashlib
import re
import unicodedata

from option_baskets.adapters.basket_file.fields import Fields, shown

_IDENTIFIER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def slug(name: str) -> str:
    """Lower-case letters and digits with hyphens, e.g. ``iron-condor``.

    A name with letters that have no ASCII form also gets six hex digits of its SHA-256, so that names in other
    scripts stay apart.
    """
    plain = unicodedata.normalize("NFKD", name)
    kept = re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower()).strip("-")
    is_whole = all(each.isascii() for each in plain if each.isalnum())
    return kept if kept and is_whole else f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:6]}".lstrip("-")


def check_identifier(fields: Fields, key: str, value: str, *, most: int) -> None:
    """Report an id that could not be part of a stored key."""
    if value and (len(value) > most or not _IDENTIFIER.fullmatch(value)):
        fields.add(key, f"{shown(value)} is no id; use at most {most} letters, digits and -_. between them")
