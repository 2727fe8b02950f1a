"""What a table takes. Every adapter refuses the same, so that what is written to one can be moved to the other.

The numbers are DynamoDB's, and sizes are counted as DynamoDB counts them: names and values, keys of indexes included.
"""

from collections.abc import Sequence

from option_baskets.domain.errors import Invalid, Problem
from option_baskets.ports import Item, Put, TableName, Write

MOST_WRITES = 100
LARGEST_COMMIT = 4 * 1024 * 1024
LARGEST_ITEM = 400 * 1024
LONGEST_PARTITION_KEY = 2048
LONGEST_SORT_KEY = 1024
_NUMBER = 21
"""The most bytes a number has."""
_SMALL = 32 * 1024
"""A commit of items no larger than this is never too large."""


def key_of(write: Write) -> tuple[str, str]:
    return (write.item.pk, write.item.sk) if isinstance(write, Put) else (write.pk, write.sk)


def require_writable(writes: Sequence[Write]) -> None:
    """Raise Invalid, naming every problem, unless the writes can be one commit."""
    if len(writes) > MOST_WRITES:
        raise Invalid(
            f"{len(writes)} writes in one commit; at most {MOST_WRITES} commit together, so split what need not",
            where="writes",
        )
    if _are_plain(writes):
        return
    problems = []
    seen: set[tuple[TableName, tuple[str, str]]] = set()
    total = 0
    for number, write in enumerate(writes):
        key = (write.table, key_of(write))
        wrong = f"{key[1]} is written twice in one commit" if key in seen else _keys_complaint(write)
        seen.add(key)
        if not wrong and isinstance(write, Put):
            size = size_of(write.item)
            total += size
            if size > LARGEST_ITEM:
                pk, sk = key[1]
                wrong = f"{pk} {sk} has {size} bytes; an item has at most {LARGEST_ITEM}, so store it as several"
        if wrong:
            problems.append(Problem(where=f"writes[{number}]", message=wrong))
    if not problems and total > LARGEST_COMMIT:
        message = f"{total} bytes in one commit; at most {LARGEST_COMMIT} commit together, so split what need not"
        problems.append(Problem(where="writes", message=message))
    if problems:
        raise Invalid(problems)


def _are_plain(writes: Sequence[Write]) -> bool:
    """Small bodies and short ASCII keys, each once, as nearly always: a burst of orders has no time to count bytes."""
    seen = set()
    for write in writes:
        if isinstance(write, Put):
            item = write.item
            if len(item.body) > _SMALL:
                return False
            (one, two), (three, four) = item.gsi1 or _NO_KEY, item.gsi2 or _NO_KEY
            pk, sk = item.pk, item.sk
            text = f"{pk}{sk}{one}{two}{three}{four}"
            if not (one and two and three and four):
                return False
        else:
            pk, sk = write.pk, write.sk
            text = pk + sk
        if not pk or not sk or len(text) > LONGEST_SORT_KEY or not text.isascii():
            return False
        seen.add((write.table, pk, sk))
    return len(seen) == len(writes)


_NO_KEY = ("-", "-")
"""In the place of one in an index the item is not in."""


def require_key(pk: str, sk: str | None = None) -> None:
    """Raise Invalid unless an item could have this key; ``sk`` None asks for a partition only."""
    wrong = _key_complaint("pk", pk, LONGEST_PARTITION_KEY)
    if sk is not None:
        wrong = wrong or _key_complaint("sk", sk, LONGEST_SORT_KEY)
    if wrong:
        raise Invalid(wrong, where="key")


def require_page(pk: str, begins_with: str, between: tuple[str, str] | None, limit: int) -> None:
    """Raise Invalid unless a page of this range can be asked for."""
    require_key(pk)
    if limit < 1:
        raise Invalid(f"a page of {limit} items; ask for at least 1", where="limit")
    for value in (begins_with, *(between or ())):
        if value and (wrong := _key_complaint("sk", value, LONGEST_SORT_KEY)):
            raise Invalid(wrong, where="key")


def size_of(item: Item) -> int:
    """Bytes the item counts as, at most. Every key must be text that has a UTF-8 form."""
    size = len("pkskversionbody") + _length(item.pk) + _length(item.sk) + _NUMBER + len(item.body)
    for place in (item.gsi1, item.gsi2):
        if place is not None:
            size += len("gsi1pkgsi1sk") + _length(place[0]) + _length(place[1])
    if item.expires_at is not None:
        size += len("expires_at") + _NUMBER
    return size


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _keys_complaint(write: Write) -> str:
    pk, sk = key_of(write)
    wrong = _key_complaint("pk", pk, LONGEST_PARTITION_KEY) or _key_complaint("sk", sk, LONGEST_SORT_KEY)
    if isinstance(write, Put):
        for name, place in (("gsi1", write.item.gsi1), ("gsi2", write.item.gsi2)):
            if place is not None:
                wrong = wrong or _key_complaint(f"{name} pk", place[0], LONGEST_PARTITION_KEY)
                wrong = wrong or _key_complaint(f"{name} sk", place[1], LONGEST_SORT_KEY)
    return f"{wrong} (item {pk[:80]!a} {sk[:80]!a})" if wrong else ""


def _key_complaint(name: str, value: str, longest: int) -> str:
    if not value:
        return f"{name} is empty; every item needs it"
    try:
        length = _length(value)
    except UnicodeEncodeError:
        return f"{name} {value[:80]!a} is no Unicode text"
    if length > longest:
        return f"{name} {value[:40]!r}… has {length} bytes; at most {longest} are possible"
    return ""
