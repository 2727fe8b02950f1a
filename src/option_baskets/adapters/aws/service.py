"""A client of one AWS service but DynamoDB, whose requests may be sent twice without harm."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from option_baskets.adapters.aws.dynamo import session
from option_baskets.domain.errors import Unavailable

Answer = dict[str, Any]
_RETRIES = {"mode": "standard", "total_max_attempts": 4}


class Service:
    """Credentials, region and endpoint come from the environment as for every AWS program."""

    def __init__(self, name: str, client: Any, closing: AsyncExitStack) -> None:
        self._name = name
        self._client = client
        self._closing = closing

    @classmethod
    async def open(
        cls, name: str, *, endpoint: str | None = None, patience: float = 5.0, within: AioSession | None = None
    ) -> Self:
        """Args:
            name: as AWS's clients are named, e.g. ``sqs``.
            patience: seconds to wait for an answer.
            within: a session that other clients of the process have too.

        Raises:
            Unavailable: no region is known, or the endpoint is no URL.
        """
        config = AioConfig(retries=_RETRIES, connect_timeout=2, read_timeout=patience)
        closing = AsyncExitStack()
        try:
            made = (within or session()).create_client(name, endpoint_url=endpoint, config=config)
            return cls(name, await closing.enter_async_context(made), closing)
        except NoRegionError as error:
            raise Unavailable("no AWS region is known; set AWS_REGION or give one") from error
        except (BotoCoreError, ValueError) as error:
            raise Unavailable(f"no client of {name} can be made: {error}") from error

    async def call(self, operation: str, **request: object) -> Answer:
        """Raises Unavailable: the service did not take it, after four attempts."""
        try:
            answer: Answer = await getattr(self._client, operation)(**request)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(f"{self._name} does not take {operation}: {error}") from error
        return answer

    async def close(self) -> None:
        await self._closing.aclose()


def code_of(error: Unavailable) -> str:
    """What the service called its refusal; empty where it gave none."""
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""


def refused(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of a batch that were not taken."""
    found: list[Mapping[str, Any]] = answer.get("Failed") or []
    return found
