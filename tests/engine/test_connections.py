"""A test of a connection asks the paper exchange itself, and is honest where nobody can be asked."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.connection import ConnectionResult, ConnectionTest
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.errors import Unauthenticated
from option_baskets.domain.order import OrderReport
from option_baskets.engine.connections import BrokerConnections
from option_baskets.ports import Broker
from tests.contract.venue import CALL, PUT, Venue, open_venue, order

ONE = BrokerAccount(id="one")


@pytest.fixture
def venue(tmp_path: Path) -> Venue:
    return open_venue(tmp_path / "paper.sqlite")


def connections(venue: Venue) -> BrokerConnections:
    return BrokerConnections(
        lambda user, account: venue.exchange.broker(account.id, user=user) if account.broker == "paper" else None
    )


async def test_a_paper_account_shows_its_orders_of_today_and_what_it_holds(venue: Venue) -> None:
    await venue.broker().place(order(tag="A"))
    await venue.broker().place(order(tag="B", contract=PUT))
    await venue.broker().place(order(tag="C", side=Side.SELL, limit="99.00"))
    await venue.broker().place(order(tag="D", limit="50.00"))
    assert await connections(venue).test("local", ONE) == ConnectionTest(
        result=ConnectionResult.CONNECTED,
        detail="paper shows 4 orders of today and 1 open positions",
        orders=4,
        positions=1,
    )
    assert (await venue.broker().positions())[PUT] and CALL not in await venue.broker().positions()
    await venue.exchange.close()


async def test_another_user_s_account_of_the_same_name_is_another_account(venue: Venue) -> None:
    await venue.broker().place(order())
    found = await connections(venue).test("bharat", ONE)
    assert (found.result, found.orders, found.positions) == (ConnectionResult.CONNECTED, 0, 0)
    await venue.exchange.close()


async def test_an_account_that_is_out_is_told_as_such(venue: Venue) -> None:
    outage = Outage(start=venue.clock.now(), lasts=timedelta(minutes=5))
    venue.exchange.broker("one", behaviour=Behaviour(outages=(outage,)))
    found = await connections(venue).test("local", ONE)
    assert (found.result, found.orders) == (ConnectionResult.UNAVAILABLE, None)
    assert found.detail.startswith("paper cannot be reached: ") and found.detail.endswith("; try again")
    await venue.exchange.close()


async def test_of_a_broker_without_a_connection_nobody_is_asked_and_nothing_is_claimed(venue: Venue) -> None:
    for broker in ("zerodha", "angelone", "shoonya"):
        found = await connections(venue).test("local", BrokerAccount(id="live", broker=broker, charges_as=broker))
        assert (found.result, found.orders, found.positions) == (ConnectionResult.NO_CONNECTION, None, None)
        assert f"no connection to {broker}" in found.detail
    assert list(venue.exchange.accounts) == []
    await venue.exchange.close()


class Answers:
    """A broker that answers with an error, or never."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def orders(self) -> tuple[OrderReport, ...]:
        return ()

    async def positions(self) -> Mapping[Contract, int]:
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()
        return {}


async def test_a_broker_that_never_answers_or_refuses_is_not_waited_for_nor_called_connected() -> None:
    silent = BrokerConnections(lambda _, __: cast(Broker, Answers()), patience=timedelta(milliseconds=5))
    found = await silent.test("local", ONE)
    assert (found.result, "no answer within 0.005 s" in found.detail) == (ConnectionResult.UNAVAILABLE, True)
    refusing = BrokerConnections(lambda _, __: cast(Broker, Answers(Unauthenticated("the session is over"))))
    found = await refusing.test("local", ONE)
    assert (found.result, "give its secrets anew" in found.detail) == (ConnectionResult.REFUSED, True)
