"""``[[accounts]]``: a broker account, without its secrets."""

from enum import StrEnum

from option_baskets.adapters.basket_file.fields import Fields
from option_baskets.domain.basket import BrokerAccount


class BrokerName(StrEnum):
    PAPER = "paper"
    ZERODHA = "zerodha"
    ANGELONE = "angelone"
    SHOONYA = "shoonya"


class ChargesAs(StrEnum):
    ZERODHA = "zerodha"
    ANGELONE = "angelone"
    SHOONYA = "shoonya"


def read_account(table: Fields) -> BrokerAccount:
    """The account of a table, which is closed then."""
    account_id = table.identifier("id", "zerodha-1", most=40)
    broker = table.choice("broker", BrokerName, BrokerName.PAPER, BrokerName.PAPER)
    own = ChargesAs.ZERODHA if broker is BrokerName.PAPER else ChargesAs(broker.value)
    charges_as = table.choice("charges_as", ChargesAs, own, own)
    if broker is not BrokerName.PAPER and charges_as is not own:
        table.add("charges_as", f'"{charges_as}" on an account at "{broker}"; only paper accounts choose, remove it')
    loss = table.optional("max_daily_loss", "20000", decimals=2)
    table.close()
    return BrokerAccount(id=account_id, broker=broker.value, charges_as=charges_as.value, max_daily_loss=loss)
