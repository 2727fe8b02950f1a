"""Nothing later may influence a choice: other prices from an instant on change nothing decided up to it.

Baskets of random strategies, with every rule there is, are traded on two random days, a process a day; then
again on days that are the same up to an instant of either day. What was decided up to it has to be the same.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.domain.contract import Contract
from option_baskets.domain.entry_rules import Reentry
from option_baskets.domain.errors import Invalid
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import Run
from tests.engine.nights import MON, MONTH, TUE, Nights, call, days, on, put, settle, trade
from tests.engine.tiny_day import FACTS, Bars, Prices, steady

STARTS = tuple(steady("1"))
"""The bars of a day: 09:15 to 09:39."""
STRIKES = (25900, 25950, 26000, 26050, 26100)
THINGS: tuple[Contract | str, ...] = (
    "NIFTY",
    *(make(expiry, strike) for expiry in (TUE, MONTH) for strike in STRIKES for make in (call, put)),
)
CASES = 6
KINDS = (*Reentry, Reentry.COST, Reentry.COST_REVERSE, Reentry.COST_REVERSE, Reentry.MOMENTUM_REVERSE)
"""How the legs of each strategy of a basket are entered again; some come to it seldom."""


# ---------------------------------------------------------------- prices


def bars(rng: Random, thing: Contract | str, day: date, cut: datetime | None, other: Random) -> Bars:
    """A walk with an open, high and low, or closes only; now and then a minute without a trade. ``other`` goes on from
    the cut, whose bar is the first that is not known then."""
    is_spot = isinstance(thing, str)
    size, tick = (Decimal(12), Decimal("0.05")) if is_spot else (Decimal(6), Decimal("0.05"))
    level = Decimal(26010 if is_spot else rng.randint(60, 140))
    closes_only = rng.random() < 0.3
    made: dict[str, str | tuple[str, str, str, str]] = {}
    for start in STARTS:
        chance = other if cut is not None and on(day, start) >= cut else rng
        moves = [tick * int(size * Decimal(chance.uniform(-1, 1)) / tick) for _ in range(4)]
        opened = max(level + moves[0] / 4, tick)
        close = max(opened + moves[1], tick)
        high = max(opened, close) + abs(moves[2]) / 2
        low = max(min(opened, close) - abs(moves[3]) / 2, tick)
        level = close
        if chance.random() > 0.03 or start == STARTS[0]:
            first, top, bottom, last = (f"{price.quantize(tick):f}" for price in (opened, high, low, close))
            made[start] = last if closes_only else (first, top, bottom, last)
    return made


def market(seed: str, cut: datetime | None = None) -> dict[date, Prices]:
    found: dict[date, Prices] = {}
    for day in (MON, TUE):
        found[day] = {
            thing: bars(Random(f"{seed} {day} {thing}"), thing, day, cut, Random(f"{seed} {day} {thing} other"))
            for thing in THINGS
            if isinstance(thing, str) or thing.expiry >= day
        }
    return found


# ---------------------------------------------------------------- strategies


def basket(case: int, rng: Random, folder: Path) -> str:
    limits = ("max_daily_loss = 15000\n", "", "max_drawdown_percent = 4\n", "")[case % 4]
    account = ("", "max_daily_loss = 7000\n", "", "")[case % 4]
    head = (
        f'[basket]\nname = "random"\ncapital = 500000\n{limits}'
        f'[[accounts]]\nid = "one"\n{account}[[accounts]]\nid = "two"\n'
    )
    return head + "".join(sound(rng, number, head, folder / "strategy.toml") for number in range(len(KINDS)))


def sound(rng: Random, number: int, head: str, file: Path) -> str:
    """A strategy the reader takes; rules that contradict each other are drawn again."""
    while True:
        text = strategy(rng, number)
        file.write_text("format = 1\n" + head + text, encoding="utf-8")
        try:
            load_basket_file(file, FACTS.names)
        except Invalid:
            continue
        return text


def strategy(rng: Random, number: int) -> str:
    entry, exit_, kind = rng.randint(17, 22), rng.randint(31, 38), KINDS[number]
    lines = [
        f'name = "s{number}"',
        'underlying = "NIFTY"',
        "naked = true",
        f'entry = "09:{entry}"',
        f'exit = "09:{exit_}"',
    ]
    lines += rng.choice(
        [
            [],
            [],
            ['holding = "next_day"', 'expiry = { series = "monthly" }'],
            ['holding = "positional"', "enter_before = 1", "exit_before = 0"],
        ]
    )
    waits_as_one = rng.random()
    if waits_as_one < 0.15:
        lines.append(f"wait = {{ {rng.choice(['points', 'percent'])} = {rng.choice([-6, -3, 3, 6])} }}")
    elif waits_as_one < 0.3:
        lines.append(f'breakout = {{ until = "09:{entry + 3}", side = "{rng.choice(["high", "low", "either"])}" }}')
    lines += strategy_exits(rng)
    legs = [leg(rng, entry, kind, alone=waits_as_one >= 0.3) for _ in range(rng.randint(1, 3))]
    again = [n for n, text in enumerate(legs) if "\n  on_stop" in text]
    if again or rng.random() < 0.3:
        lines.append(f'reenter_until = "09:{exit_ - 2}"' if again else "")
    if rng.random() < 0.4:
        waking = 'stop = { percent = 6 }\n  on_stop = { wakes = ["late"] }\n'
        legs = [leg(rng, entry, kind, alone=False, more=waking), leg(rng, entry, kind, alone=False, lazy="late")]
    allocations = "".join(
        f'  [[strategies.allocations]]\n  account = "{account}"\n  lots = {rng.randint(1, 3)}\n{limits(rng)}'
        for account in ("one", "two")[: rng.randint(1, 2)]
    )
    return "[[strategies]]\n" + "\n".join(filter(None, lines)) + "\n" + "".join(legs) + allocations


def limits(rng: Random) -> str:
    return rng.choice(
        [
            "  limits = { max_daily_loss = 3000 }\n",
            "  limits = { max_daily_trades = 8, max_lots = 40, max_position_value = 90000 }\n",
            "",
            "",
        ]
    )


def strategy_exits(rng: Random) -> Iterator[str]:
    stop, target, lock = (rng.random() < 0.25 for _ in range(3))
    if stop:
        yield f"stop = {{ rupees = {rng.randint(800, 3000)} }}"
    if target:
        yield f"target = {{ rupees = {rng.randint(1200, 3000)} }}"
    if lock:
        yield "lock = { at = 700, keep = 200, trail = { every = 300, by = 150 } }"
    again = [rule for rule, can in (("on_stop = 1", stop), ("on_target = 1", target or lock)) if can]
    if again and rng.random() < 0.6:
        yield f"restart = {{ {', '.join(again)} }}"


def leg(rng: Random, entry: int, kind: Reentry, *, alone: bool, lazy: str = "", more: str = "") -> str:
    strike = rng.choice(
        [
            'rule = "atm"',
            'rule = "atm", offset = 1',
            'rule = "premium", pick = "closest", value = 90',
            'rule = "straddle_width", k = 0.2',
            'rule = "delta", value = 0.4',
        ]
    )
    side, type_ = rng.choice(["SELL", "SELL", "BUY"]), rng.choice(["CE", "PE"])
    lines = [f'side = "{side}"', f'type = "{type_}"', f"strike = {{ {strike} }}"]
    if lazy:
        lines += [f'id = "{lazy}"', "lazy = true"]
    if more:
        lines.append(more)
    elif rng.random() < 0.8:
        lines.append(
            rng.choice(["stop = { percent = 8 }", "stop = { points = 6 }", "stop = { underlying_points = 15 }"])
        )
    if rng.random() < 0.4:
        lines.append(rng.choice(["target = { percent = 8 }", "target = { underlying_percent = 0.05 }"]))
    own_stop = any("stop = { p" in line for line in lines)
    if own_stop and rng.random() < 0.4:
        lines.append('trail = { unit = "points", every = 3, by = 2 }')
    if rng.random() < 0.15 and any(line.startswith(("stop", "target")) for line in lines):
        lines.append('square_off = "all"')
    if own_stop and not more and rng.random() < 0.9:
        points = ", points = 3" if kind.startswith("momentum") else ""
        lines.append(f'on_stop = {{ reenter = "{kind}", times = 2{points} }}')
    if alone and not lazy and rng.random() < 0.3:
        lines.append(
            rng.choice(
                ["wait = { points = 4 }", "wait = { percent = -3 }", f'breakout = {{ until = "09:{entry + 2}" }}']
            )
        )
    return "  [[strategies.legs]]\n" + "".join(f"  {line}\n" for line in lines)


# ---------------------------------------------------------------- what was decided


def last_of(nights: Nights) -> Mapping[str, Run]:
    return {each.run.id: each.run for record in nights.records for each in record.runs}


def decided(nights: Nights, until: datetime) -> dict[str, list[tuple[object, ...]]]:
    """What was sent, entered, closed, refused and said up to an instant. A fill at it is of the bar that begins then,
    so of an order of that very instant only what was asked for counts."""
    orders = [
        (*asked, *((filled, value) if datetime.fromisoformat(str(asked[-1])) < until else ()))
        for *asked, filled, value in nights.book(
            "SELECT tag, account, expiry, strike, type, side, quantity, placed_at, filled, value FROM orders"
        )
        if datetime.fromisoformat(str(asked[-1])) <= until
    ]
    positions: list[tuple[object, ...]] = []
    for run in last_of(nights).values():
        for each in run.positions:
            if each.entry_time is not None and each.entry_time <= until:
                value = each.entered_value if each.entry_time < until else None
                positions.append((run.id, each.key, each.contract, each.side, each.lots, value))
            if each.exit_time is not None and each.exit_time <= until:
                positions.append((run.id, each.key, each.exit_reason, each.exit_level))
    said: list[tuple[object, ...]] = []
    for record in nights.records:
        said += [(each.at, each.code, each.message) for each in record.alerts if each.at < until]
        said += [(each.at, each.run_id, each.reason, each.detail) for each in record.refusals if each.at <= until]
    return {"orders": orders, "positions": positions, "said": said}


def happened(nights: Nights, until: datetime) -> Iterator[str]:
    """The rules by which something was decided up to an instant."""
    for run in last_of(nights).values():
        for each in run.positions:
            if each.exit_time is not None and each.exit_time <= until and each.exit_reason is not None:
                yield str(each.exit_reason)
            if each.entry_time is None or each.entry_time > until:
                continue
            spec = run.strategy.leg(each.leg)
            if each.entry_number:
                closed = run.position((each.leg, each.account, each.entry_number - 1))
                if closed.exit_reason is not ExitReason.TARGET and spec.on_stop and (kind := spec.on_stop.reenter):
                    yield f"again {kind.plain}"
                    yield f"again {'reversed' if kind.is_reverse else 'as before'}"
            elif spec.lazy:
                yield "lazy"
            elif each.due is not None:
                waits = spec.wait is not None or run.strategy.wait is not None
                yield "wait" if waits else "breakout"
            if each.entry_time.date() < min(each.exit_time or until, until).date():
                yield f"held over night, {run.strategy.schedule.holding}"
        if run.cycle:
            yield "restart"


def test_other_prices_from_an_instant_on_change_nothing_decided_up_to_it(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    went_apart = 0
    for case in range(CASES):
        rng = Random(f"other {case}")
        text = basket(case, rng, tmp_path)
        cut = on(rng.choice([MON, TUE]), rng.choice(STARTS[13:24]))
        outcomes = []
        for name, prices in (("known", market(str(case))), ("other", market(str(case), cut))):
            folder = days(tmp_path / f"{case}-{name}", prices)
            settle(folder, TUE, "26010" if name == "known" else "25950")
            outcomes.append(trade(folder, tmp_path / f"{case}-{name}-data", text))
        known, other = outcomes
        before = decided(known, cut)
        assert before == decided(other, cut), f"case {case}, cut at {cut}"
        end = on(TUE, "23:59")
        went_apart += decided(known, end) != decided(other, end)
        seen.update(happened(known, cut))
    assert went_apart > CASES / 2, "the other prices have to matter afterwards"
    missing = EXPECTED - set(seen)
    assert not missing, f"never decided before a cut: {sorted(missing)}; seen {dict(seen)}"


_ELSEWHERE = {
    *(ExitReason.KILL, ExitReason.MANUAL, ExitReason.USER_STOP),  # no file asks for them
    *(ExitReason.EXTERNAL, ExitReason.UNWIND, ExitReason.BLIND),
}
EXPECTED = {
    *map(str, set(ExitReason) - _ELSEWHERE),
    *(f"again {how}" for how in ("asap", "cost", "momentum", "reversed", "as before")),
    *("lazy", "wait", "breakout", "restart", "held over night, next_day", "held over night, positional"),
} - {"expiry"}
"""Unwinding and settlement follow no price (test_exit_reasons.py), nor does what a silent feed sets off."""
