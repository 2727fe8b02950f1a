"""docs/strategy-files.md is true: its blocks load, its errors are the real ones, and no key is missing."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.domain.errors import Invalid

PAGE = (Path(__file__).parent.parent.parent / "docs" / "strategy-files.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```toml *([a-z ]*)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)

BASKET = {"name": '"A basket"', "capital": "500000"}
ACCOUNTS = "".join(f'[[accounts]]\nid = "{name}"\n' for name in ("zerodha-1", "angelone-1", "finvasia-1"))
STRATEGY = {"name": '"A strategy"', "underlying": '"NIFTY"', "entry": '"09:20"', "exit": '"15:15"'}
LEG = {"side": '"SELL"', "type": '"CE"', "strike": '{ rule = "atm" }'}
SHORT_PUT = '[[strategies.legs]]\nside = "SELL"\ntype = "PE"\nstrike = { rule = "atm" }\n'
ALLOCATIONS = '[[strategies.allocations]]\naccount = "zerodha-1"\nlots = 1\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    kind: str
    text: str
    errors: tuple[str, ...]
    line: int


def blocks() -> list[Block]:
    found = []
    for match in BLOCK.finditer(PAGE):
        kind = match[1].removesuffix("error")
        errors = tuple((match[3] or "").splitlines())
        line = PAGE.count("\n", 0, match.start()) + 1
        found.append(Block(kind=kind.strip(), text=match[2], errors=errors, line=line))
    return found


def completed(keys: dict[str, str], fragment: str) -> str:
    """The fragment after those of the keys it does not set itself."""
    given = tomllib.loads(fragment)
    missing = {key: value for key, value in keys.items() if key not in given}
    if given.get("type") == "FUT":
        missing.pop("strike", None)
    return "".join(f"{key} = {value}\n" for key, value in missing.items()) + fragment


def framed(kind: str, fragment: str) -> str:
    """A whole file around a fragment."""
    if not kind:
        return fragment

    def part(name: str) -> str:
        return fragment if kind == name else ""

    legs = part("legs") or 2 * SHORT_PUT
    if kind == "leg":
        legs = f"[[strategies.legs]]\n{completed(LEG, fragment)}{SHORT_PUT}"
    if "[[strategies.legs]]" in part("strategy"):
        legs = ""
    allocations = part("allocations") or ALLOCATIONS
    if kind == "dynamic":
        allocations = ALLOCATIONS.replace("lots = 1", 'dynamic = "by-result"')
    if "[[strategies.allocations]]" in part("strategy"):
        allocations = ""
    return (
        f"[basket]\n{completed(BASKET, part('basket'))}{ACCOUNTS}{part('accounts')}{part('dynamic')}"
        f"[[strategies]]\n{completed(STRATEGY, part('strategy'))}{legs}{allocations}"
    )


@pytest.mark.parametrize("block", blocks(), ids=lambda block: f"line {block.line} {block.kind or 'file'}")
def test_every_block_loads_or_gives_the_error_below_it(block: Block) -> None:
    text = framed(block.kind, block.text)
    if not block.errors:
        assert parse_basket(text, ["NIFTY"]).strategies
        return
    with pytest.raises(Invalid) as raised:
        parse_basket(text, ["NIFTY"])
    told = tuple(
        f"{problem.where}: {problem.message}" if problem.where else f"{problem.line}: {problem.message}"
        for problem in raised.value.problems
    )
    assert told == block.errors


def test_the_page_has_blocks_of_every_kind_and_errors_among_them() -> None:
    kinds = {block.kind for block in blocks()}
    assert kinds == {"", "basket", "accounts", "strategy", "leg", "legs", "allocations", "dynamic"}
    assert all(bool(match[3]) == match[1].endswith("error") for match in BLOCK.finditer(PAGE))


POLICY = '[[dynamic]]\nid = "by-result"\ntotal = 1\nmost = 1\n'
NO_SUCH_KEY = {
    "dynamic": framed("dynamic", POLICY + "unknown = 1\n"),
    "restart": framed("strategy", "stop = { rupees = 1 }\nrestart = { on_stop = 1, unknown = 1 }\n"),
    "the file": "unknown = 1\n" + framed("legs", SHORT_PUT),
    "basket": framed("basket", "unknown = 1\n"),
    "accounts": framed("accounts", '[[accounts]]\nid = "x"\nunknown = 1\n'),
    "strategies": framed("strategy", "unknown = 1\n"),
    "legs": framed("leg", "unknown = 1\n"),
    "expiry": framed("leg", "expiry = { unknown = 1 }\n"),
    "stop": framed("leg", "stop = { percent = 1, unknown = 1 }\n"),
    "trail": framed("leg", 'stop = { points = 9 }\ntrail = { unit = "points", every = 1, by = 1, unknown = 1 }\n'),
    "on_stop": framed("leg", 'stop = { points = 9 }\non_stop = { reenter = "momentum", points = 1, unknown = 1 }\n'),
    "on_target": framed("leg", "target = { points = 9 }\non_target = { unknown = 1 }\n"),
    "strategy stop": framed("strategy", "stop = { rupees = 1, unknown = 1 }\n"),
    "lock": framed("strategy", "lock = { at = 1, keep = 0, unknown = 1 }\n"),
    "lock trail": framed("strategy", "lock = { at = 1, keep = 0, trail = { every = 1, by = 1, unknown = 1 } }\n"),
    "wait": framed("leg", "wait = { points = 1, unknown = 1 }\n"),
    "breakout": framed("strategy", 'breakout = { until = "09:45", unknown = 1 }\n'),
    "allocations": framed("allocations", ALLOCATIONS + "unknown = 1\n"),
    "limits": framed("allocations", ALLOCATIONS + "limits = { unknown = 1 }\n"),
}


@pytest.mark.parametrize("table", NO_SUCH_KEY)
def test_every_key_that_is_read_has_its_row_on_the_page(table: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_basket(NO_SUCH_KEY[table])
    (problem,) = raised.value.problems
    keys = problem.message.partition("Known: ")[2].split(", ")
    assert len(keys) >= 2
    assert [key for key in keys if f"\n| `{key}` |" not in PAGE] == []
