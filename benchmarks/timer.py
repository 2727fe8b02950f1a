"""How exactly the timer wakes: 1,000 boundaries idle and with one core busy, beside APScheduler 3 and plain sleeps."""

from datetime import timedelta
from pathlib import Path

from rich.console import Console

from option_baskets.cli.bench_command import compare


def main() -> None:
    examples = Path(__file__).parent.parent / "examples"
    checks = (examples / "conservative-income.toml", examples / "three-accounts.toml")
    compare(Console(), count=1000, length=timedelta(milliseconds=50), busy=True, peers=200, checks=checks)
