"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from polars.exceptions import PolarsError

from option_baskets.domain.errors import Invalid, Unavailable


@contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """A file to write to; it takes its name, whole and on disk, when the block ends, and vanishes if the block fails.

    Raises:
        Invalid: without ``replace``, a file of that name with other content is there.
        Unavailable: the folder cannot be written, or the disk is full.
    """
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        partial = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not replace and path.exists() and path.read_bytes() != partial.read_bytes():
            raise Invalid(f"{path} is there with other content; choose another folder, or say --replace")
        partial.chmod(0o644)
        partial.replace(path)
        partial = None
    except (OSError, PolarsError) as error:
        raise Unavailable(f"{path} was not written: {error}; make room or choose another folder") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
