"""The words in which commands say what limits do."""

from collections.abc import Iterator

from option_baskets.cli.exit_wording import rupees_in_words
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, BrokerAccount
from option_baskets.domain.money import HUNDRED

_OUT = "closed, and nothing more is entered that day"


def basket_limits_in_words(basket: Basket) -> Iterator[str]:
    """A sentence for each limit of the basket."""
    if basket.max_daily_loss is not None:
        yield f"At a net loss of {rupees_in_words(basket.max_daily_loss)} in a day all its strategies are {_OUT}."
    if basket.max_drawdown_percent is not None:
        fall = rupees_in_words(basket.capital * basket.max_drawdown_percent / HUNDRED)
        percent = f"{basket.max_drawdown_percent:f} % of its capital ({fall})"
        yield f"At a fall of {percent} from its highest all its strategies are {_OUT}."


def account_limits_in_words(account: BrokerAccount) -> str:
    """A sentence; empty where the account has no limit."""
    if account.max_daily_loss is None:
        return ""
    loss = rupees_in_words(account.max_daily_loss)
    return f"At a net loss of {loss} in a day everything on {account.id} is {_OUT}."


def allocation_limits_in_words(allocation: Allocation) -> str:
    """A sentence or two; empty where the allocation has no limit."""
    limits = allocation.limits
    told = []
    if limits.max_daily_loss is not None:
        loss = rupees_in_words(limits.max_daily_loss)
        told.append(f"At a net loss of {loss} in a day it is closed on {allocation.account} and not entered again.")
    most = []
    if limits.max_daily_trades is not None:
        most.append(f"{limits.max_daily_trades} entries a day")
    if limits.max_lots is not None:
        most.append(f"{limits.max_lots} lots")
    if limits.max_position_value is not None:
        most.append(f"{rupees_in_words(limits.max_position_value)} of premium")
    if limits.max_margin_percent is not None:
        most.append(f"{limits.max_margin_percent:f} % of the basket's capital as margin")
    if most:
        told.append(f"On {allocation.account} at most {', '.join(most)}; what would pass that is not entered.")
    return " ".join(told)
