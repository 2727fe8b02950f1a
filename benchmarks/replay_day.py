"""A replay of one day: 20 strategies of 4 legs over 3 accounts, CPU after start and peak memory.

The day is simulated here; where the shared data is, 2022-06-30 is replayed too. Every replay is a process of its own.
Beside it the limit: reading the day and pricing every contract that is traded at every minute, and nothing else.
"""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

STRATEGIES = 20
A_BASKET = 10
ACCOUNTS = ("one", "two", "three")
SIMULATED = date(2026, 11, 19)
RECORDED = date(2022, 6, 30)
GOAL_CPU = 3.0
GOAL_MB = 500
SHARED = Path(os.environ.get("OPTION_BASKETS_SHARED", Path(__file__).parent.parent.parent / "shared"))


def basket(number: int) -> str:
    """Ten short straddles with wings and stops that enter five minutes apart, each on all three accounts."""
    lines = [f'[basket]\nname = "Basket {number}"\ncapital = 5000000\nmode = "paper"']
    lines += [f'[[accounts]]\nid = "{account}"\nbroker = "paper"' for account in ACCOUNTS]
    for strategy in range(A_BASKET):
        minute = 5 * (number * A_BASKET + strategy) + 20
        lines.append(f"""
[[strategies]]
name = "straddle {strategy}"
underlying = "NIFTY"
entry = "{9 + minute // 60:02}:{minute % 60:02}"
exit = "15:15"
days = ["MON", "TUE", "WED", "THU", "FRI"]""")
        for side, rule, more in (
            ("SELL", f'rule = "atm", offset = {strategy % 3}', f"stop = {{ percent = {25 + strategy} }}"),
            ("BUY", f'rule = "atm", offset = {6 + strategy % 4}', ""),
        ):
            lines += [
                f'[[strategies.legs]]\nside = "{side}"\ntype = "{type_}"\nstrike = {{ {rule} }}\n{more}'
                for type_ in ("CE", "PE")
            ]
        lines += [
            f'[[strategies.allocations]]\naccount = "{account}"\nlots = {1 + place}'
            for place, account in enumerate(ACCOUNTS)
        ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Figures:
    cpu: float
    limit: float
    """CPU seconds of the prices alone."""
    memory: float
    """Peak of the process, MB."""
    events: int
    orders: int
    exits: dict[str, int]


def replay(directory: Path, day: date, files: list[Path]) -> Figures:
    """Run in a process of its own; the CPU counts from when everything is imported."""
    from option_baskets.cli.replaying import Replay, write_json

    out = directory / "out.json"
    started = time.process_time()
    prepared = Replay.prepare(
        directory, files, first=day, last=day, slippage=Decimal(0), stale=None, with_charges=True, facts=None
    )
    records = prepared.run(None)
    write_json(records, out)
    cpu = time.process_time() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    session = json.loads(out.read_text(encoding="utf-8"))["sessions"][0]
    legs = [leg for run in session["runs"] for leg in run["legs"]]
    reasons = [leg["exit_reason"] for leg in legs]
    return Figures(
        cpu=cpu,
        limit=_prices_alone(directory, day),
        memory=memory,
        events=sum(session["events"].values()),
        orders=session["orders"],
        exits={str(reason): reasons.count(reason) for reason in sorted(set(reasons), key=str)},
    )


def _prices_alone(directory: Path, day: date) -> float:
    from option_baskets.adapters.cadence import load_cadence
    from option_baskets.adapters.feeds.recorded import RecordedFeed
    from option_baskets.domain.cadence import instants

    started = time.process_time()
    feed = RecordedFeed(directory)
    market = feed.market(day)
    near = sorted(market.listings, key=lambda contract: (contract.expiry, contract.key))[: 2 * STRATEGIES]
    for at in instants(feed.session(day), load_cadence().boundary):
        snapshot = market.snapshot(at)
        for contract in near:
            snapshot.quote(contract)
    return time.process_time() - started


def days(folder: Path) -> Iterator[tuple[str, Path, date]]:
    """The recorded days to replay: what they are called, where they are, which day."""
    baskets = str(Path(sys.executable).with_name("baskets"))
    simulated = folder / "simulated"
    command = [baskets, "simulate", "--from", f"{SIMULATED}", "--out", str(simulated), "--seed", "7"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield f"{SIMULATED}, simulated", simulated, SIMULATED
    intraday = SHARED / "data" / "intraday"
    options = intraday / "nifty_1min_option_close_2022-06-08_2022-07-13.parquet"
    if options.exists():
        recorded = folder / "recorded"
        index = intraday / "nifty_1min_index_vix_2022-06-08_2022-07-13.csv.gz"
        command = [baskets, "import", "minute-close", "--options", str(options), "--index", str(index)]
        command += ["--underlying", "NIFTY", "--lot-size", "50", "--date", f"{RECORDED}", "--out", str(recorded)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield f"{RECORDED}, recorded", recorded, RECORDED


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="baskets-replay-") as name:
        folder = Path(name)
        files = [folder / f"basket-{number}.toml" for number in range(STRATEGIES // A_BASKET)]
        for number, file in enumerate(files):
            file.write_text(basket(number), encoding="utf-8")
        seen = {}
        for title, directory, day in days(folder):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
                seen[title] = alone.submit(replay, directory, day, files).result()
    Console().print(_table(seen))


def _table(seen: dict[str, Figures]) -> Table:
    table = Table(title=f"Replay of a day: {STRATEGIES} strategies of 4 legs over {len(ACCOUNTS)} accounts")
    table.add_column("what")
    for title in seen:
        table.add_column(title, justify="right")
    rows: dict[str, Callable[[Figures], str]] = {
        f"CPU after start, goal {GOAL_CPU:.0f} s": lambda one: f"{one.cpu:.2f} s",
        "limit: the day read and its prices alone": lambda one: f"{one.limit:.2f} s",
        "ratio to the limit": lambda one: f"{one.cpu / one.limit:.1f}",
        f"peak memory, goal {GOAL_MB} MB": lambda one: f"{one.memory:,.0f} MB",
        "orders": lambda one: f"{one.orders:,}",
        "events a second of CPU": lambda one: f"{one.events / one.cpu:,.0f}",
        "legs and why they ended": lambda one: ", ".join(f"{count} {why}" for why, count in one.exits.items()),
    }
    for name, shown in rows.items():
        table.add_row(name, *map(shown, seen.values()))
    return table


if __name__ == "__main__":
    main()
