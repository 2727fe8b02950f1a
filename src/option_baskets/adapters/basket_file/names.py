"""Identities from names: the same file gives the same ids, whoever loads it and when."""

import hashlib
import re
import unicodedata


def slug(name: str) -> str:
    """Lower-case letters and digits with hyphens, e.g. ``iron-condor``.

    A name with letters that have no ASCII form also gets six hex digits of its SHA-256, so that names in other
    scripts stay apart.
    """
    plain = unicodedata.normalize("NFKD", name)
    kept = re.sub(r"[^a-z0-9]+", "-", plain.encode("ascii", "ignore").decode().lower()).strip("-")
    is_whole = all(each.isascii() for each in plain if each.isalnum())
    return kept if kept and is_whole else f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:6]}".lstrip("-")
