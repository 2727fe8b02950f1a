"""The accounts that are traded on: connected at the start, or where an entry first meets one, and followed when edited.

Nothing is read while nothing changed: an account that is connected is held, and whoever edits one leaves a notice
(``store/notices.py``) where the engine looks anyway.
"""

import logging
from collections.abc import Iterable, Sequence

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.errors import Halt
from option_baskets.engine.lines import AccountKey
from option_baskets.engine.losses import take_up_user
from option_baskets.engine.presence import note_coming
from option_baskets.engine.trading import Trading
from option_baskets.store.records import Edited

LOG = logging.getLogger(__name__)


def held(trading: Trading, user_id: str, accounts: Iterable[str]) -> list[BrokerAccount]:
    """Those of these accounts that are known."""
    return [trading.accounts[user_id, each] for each in accounts if (user_id, each) in trading.accounts]


async def meet(trading: Trading, user_id: str, accounts: Iterable[str]) -> None:
    """Connect those of these accounts that are stored and not connected yet. Nothing is read where all are."""
    for each in accounts:
        if (user_id, each) not in trading.desk.brokers:
            found = await trading.books.account(user_id, each)
            if found is not None:
                await _connect(trading, user_id, found)


async def follow_edits(trading: Trading, edits: Sequence[Edited]) -> None:
    """Hold accounts and limits of these users as they are stored now. One user's failure keeps no other's waiting."""
    for edited in edits:
        try:
            await _follow(trading, edited.user_id)
            await trading.books.delete_notice(edited)
        except Halt:
            raise
        except Exception as error:  # the notice stays, and the next look tries again
            LOG.warning("the accounts of %s cannot be read: %s: %s", edited.user_id, type(error).__name__, error)


async def _follow(trading: Trading, user_id: str) -> None:
    stored = {account.id: account for account in await trading.books.accounts(user_id)}
    for account in stored.values():
        key = (user_id, account.id)
        if key not in trading.desk.brokers:
            await _connect(trading, user_id, account)
        elif trading.accounts.get(key) != account:
            trading.accounts[key] = account
            trading.desk.limit(key, trading.rate_of(account))
            trading.guard.forget_charges(user_id)
    for key in [key for key in trading.accounts if key[0] == user_id and key[1] not in stored]:
        if not _is_used(trading, key):
            LOG.info("account %s was removed", key[1])
            del trading.accounts[key]
            trading.desk.disconnect(key)
    await take_up_user(trading, user_id)


async def _connect(trading: Trading, user_id: str, account: BrokerAccount) -> None:
    """Trade on the account from now on: a fence that stands over it is known before anything is entered."""
    key = (user_id, account.id)
    broker = trading.connect(user_id, account)
    await take_up_user(trading, user_id)
    if key in trading.desk.brokers:  # somebody else has met it meanwhile
        return
    LOG.info("account %s is connected", account.id)
    is_first = not any(user == user_id for user, _ in trading.desk.brokers)
    trading.accounts[key] = account
    trading.desk.connect(key, broker, trading.rate_of(account))
    trading.connected(key)
    if is_first:
        await note_coming(trading, user_id)


def _is_used(trading: Trading, key: AccountKey) -> bool:
    """Something of it may still be told or closed."""
    if trading.desk.working(key):
        return True
    mine = [run for run in trading.runs.all() if run.user_id == key[0]]
    held = {position.account for run in mine for position in run.positions}
    return key[1] in held | {allocation.account for run in mine for allocation in run.allocations}
