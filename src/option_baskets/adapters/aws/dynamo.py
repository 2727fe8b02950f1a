"""One DynamoDB client: what may pass is tried again with jitter, and AWS's errors become ours."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import cache
from io import BytesIO
from typing import Any, NoReturn, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from option_baskets.domain.errors import Conflict, Invalid, OptionBasketsError, Unavailable, Unclear

Answer = dict[str, Any]
Pause = Callable[[int], Awaitable[None]]

ATTEMPTS = 8
PATIENCE = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.025, 1.0
_IN_FLIGHT = 200
"""Connections of one client; measured, more of them do not add throughput."""
_LARGE_BODY = 512 * 1024

_BUSY = {
    "LimitExceededException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingError",
    "ThrottlingException",
    "TransactionConflict",
    "TransactionConflictException",
}
"""Nothing happened, and a moment later it may: error codes, and reasons of a cancelled transaction."""
_UNREACHED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_TRANSPORT = (*_UNREACHED, HTTPClientError)
_ADVICE = {
    "ResourceNotFoundException": "a table or index is absent; deploy the tables, or mend the prefix or the region",
    "AccessDeniedException": "the role lacks a permission; grant it dynamodb:{operation} on the tables and indexes",
    "ExpiredTokenException": "the credentials have expired; sign in again",
    "IncompleteSignatureException": "the credentials are not valid; give an access key and its secret",
    "InvalidSignatureException": "the secret does not fit the access key, or this machine's time is wrong; mend either",
    "MissingAuthenticationTokenException": "no credentials were sent; give an access key or a role",
    "UnrecognizedClientException": "AWS does not know the access key; give a valid one, or sign in again",
}
_SAY_WHO = "give this process a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def pause_after(attempt: int) -> float:
    """Seconds: a random part of a time that doubles with each attempt, so that many who failed at once spread out."""
    return random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))


async def jitter(attempt: int) -> None:
    await asyncio.sleep(pause_after(attempt))


class Dynamo:
    """A client of one region. One event loop at a time uses it.

    Args:
        client: an aiobotocore client whose own retries are off.
        closing: closes the client.
        pause: waits before the attempt after the given one.
    """

    def __init__(self, client: Any, closing: AsyncExitStack, *, pause: Pause = jitter) -> None:
        self.client = client
        self._closing = closing
        self._pause = pause

    @classmethod
    async def open(
        cls,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        patience: float = PATIENCE,
        pause: Pause = jitter,
        within: AioSession | None = None,
    ) -> Self:
        """Credentials, and whatever is not given here, come from the environment as for every AWS program.

        Args:
            patience: seconds to wait for an answer.
            within: a session that other clients of the process have too.

        Raises:
            Unavailable: no region is known, or the endpoint is no URL.
        """
        config = AioConfig(
            retries={"total_max_attempts": 1},
            max_pool_connections=_IN_FLIGHT,
            connect_timeout=2,
            read_timeout=patience,
            parameter_validation=False,
        )
        closing = AsyncExitStack()
        try:
            client = await closing.enter_async_context(
                (within or session()).create_client(
                    "dynamodb", region_name=region, endpoint_url=endpoint, config=config
                )
            )
        except NoRegionError as error:
            raise Unavailable("no AWS region is known; set AWS_REGION or give one") from error
        except (BotoCoreError, ValueError) as error:
            raise Unavailable(f"no client of DynamoDB can be made: {error}") from error
        client.meta.events.register("before-send.dynamodb", _send_in_pieces)
        return cls(client, closing, pause=pause)

    async def call(self, operation: str, request: Mapping[str, object]) -> Answer:
        """The answer to one request, however many attempts it takes, up to ``ATTEMPTS``.

        A write must be one that may be repeated: a transaction with its token.

        Raises:
            Conflict: a condition of a transaction did not hold (its ``args[1]`` holds AWS's reasons), or a table that
                is to be created is there.
            Invalid: DynamoDB does not take the request.
            Unavailable: busy, absent, unreachable, or no permission; nothing was written.
            Unclear: a write was sent and not answered.
        """
        method = getattr(self.client, operation)
        is_read = operation.startswith(("get", "query", "describe", "list"))
        in_doubt = False
        attempt = 0
        while True:
            attempt += 1
            try:
                answer: Answer = await method(**request)
            except (ClientError, *_TRANSPORT) as error:
                if not _may_pass(error):
                    raise _told(error, operation) from error
                in_doubt = in_doubt or (not is_read and _is_doubtful(error))
                if attempt == ATTEMPTS:
                    _give_up(error, in_doubt)
            except BotoCoreError as error:
                raise _told(error, operation) from error
            else:
                return answer
            await self._pause(attempt)

    async def close(self) -> None:
        await self._closing.aclose()


def _send_in_pieces(request: Any, **_: object) -> None:
    """A body of megabytes goes out bit by bit; at once it would hold up the event loop, and aiohttp warns of it."""
    if isinstance(request.body, bytes) and len(request.body) > _LARGE_BODY:
        request.body = BytesIO(request.body)


def session() -> AioSession:
    """A session of its own, whose descriptions of services are read once in a process."""
    made = get_session()
    made.register_component("data_loader", _loader())
    return made


@cache
def _loader() -> Any:
    """Keeps the service's description, which takes a tenth of a second to read. A session keeps credentials."""
    return get_session().get_component("data_loader")


def reasons(error: ClientError) -> list[Mapping[str, Any]]:
    """Why a transaction was cancelled, a reason for each of its writes; empty for any other error."""
    found: list[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
    return found


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_server_fault(error: ClientError) -> bool:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if not isinstance(error, ClientError):
        return True
    codes = {str(reason.get("Code", "None")) for reason in reasons(error)} - {"None"}
    if codes:  # a condition that failed beside a conflict has failed all the same
        return codes <= _BUSY
    return _code(error) in _BUSY or _code(error) == "TransactionInProgressException" or _is_server_fault(error)


def _is_doubtful(error: Exception) -> bool:
    """Whether the request may have taken effect although it failed."""
    if isinstance(error, ClientError):
        return _is_server_fault(error) or _code(error) == "TransactionInProgressException"
    return not isinstance(error, _UNREACHED)


def _give_up(error: Exception, in_doubt: bool) -> NoReturn:
    if in_doubt:
        raise Unclear(
            f"DynamoDB did not say whether it wrote ({error}); read what was to be written before deciding anything"
        ) from error
    if not isinstance(error, ClientError):
        raise Unavailable(
            f"DynamoDB cannot be reached ({error}); check the network and the endpoint, then try again; "
            "nothing was written"
        ) from error
    raise Unavailable(f"DynamoDB is busy ({error}); try again in a moment; nothing was written") from error


def _told(error: Exception, operation: str) -> OptionBasketsError:
    """The error as ours, where trying again cannot help."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Unavailable(f"there are no AWS credentials ({error}); {_SAY_WHO}; nothing was written")
    if not isinstance(error, ClientError):
        return Unavailable(f"DynamoDB cannot be asked: {error}; nothing was written")
    if why := reasons(error):
        codes = {str(reason.get("Code")) for reason in why}
        if "ConditionalCheckFailed" in codes:
            return Conflict("a condition of the commit did not hold; nothing was written", why)
        return Invalid(f"DynamoDB does not take the commit: {error}", where="writes")
    code = _code(error)
    if code == "ResourceInUseException":
        return Conflict(f"the table is there already ({error})")
    if code in {"ValidationException", "SerializationException", "ItemCollectionSizeLimitExceededException"}:
        return Invalid(f"DynamoDB does not take the request: {error}", where="request")
    camel = "".join(word.capitalize() for word in operation.split("_"))
    advice = _ADVICE.get(code, "this is not expected; look at the message").format(operation=camel)
    return Unavailable(f"{advice} ({error}); nothing was written")
