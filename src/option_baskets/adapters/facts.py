"""Facts from the package's own files, and from a folder of later revisions."""

from pathlib import Path

from option_baskets.domain.facts import Facts


def load(extra: Path | None = None) -> Facts:
    """The package's facts, with the rows of same-named files in ``extra`` after them.

    Raises:
        Invalid: every bad row of every file, with file, row, value and way out.
    """
    raise NotImplementedError
