"""The line to each account: its broker, and the rate at which that may be called."""

from collections.abc import Mapping
from dataclasses import dataclass

from option_baskets.domain.order import Intent
from option_baskets.engine.rates import Bucket, Urgency
from option_baskets.ports import Broker

AccountKey = tuple[str, str]
"""(user id, account id)."""


@dataclass(slots=True)
class Lines:
    """Every account's."""

    brokers: Mapping[AccountKey, Broker]
    buckets: Mapping[AccountKey, Bucket]

    def broker(self, intent: Intent) -> Broker:
        return self.brokers[account_of(intent)]

    def bucket(self, intent: Intent) -> Bucket:
        return self.buckets[account_of(intent)]

    async def turn(self, intent: Intent, urgency: Urgency) -> None:
        """Return when one more call about the order may be made."""
        await self.bucket(intent).take(1, urgency)


def account_of(intent: Intent) -> AccountKey:
    return (intent.user_id, intent.account)
