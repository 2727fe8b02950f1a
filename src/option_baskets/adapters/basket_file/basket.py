"""A basket's own keys, from its table."""

from option_baskets.adapters.basket_file.fields import Fields
from option_baskets.adapters.basket_file.names import slug
from option_baskets.domain.basket import Basket, Mode
from option_baskets.domain.money import HUNDRED


def read_basket(table: Fields) -> Basket:
    """The basket without its policies."""
    name = table.name("name", "Conservative Income")
    basket = Basket(
        id=slug(name),
        name=name,
        capital=table.decimal("capital", "500000", positive=True, decimals=2),
        mode=table.choice("mode", Mode, Mode.PAPER, Mode.PAPER),
        paused=table.flag("paused"),
        max_daily_loss=table.optional("max_daily_loss", "10000", decimals=2),
        max_drawdown_percent=table.optional("max_drawdown_percent", "15"),
    )
    if basket.max_drawdown_percent is not None and basket.max_drawdown_percent >= HUNDRED and table.is_sound:
        way_out = "write less than 100, for example max_drawdown_percent = 15"
        table.add("max_drawdown_percent", f"{basket.max_drawdown_percent:f} % of the capital is all of it; {way_out}")
    table.close()
    return basket
