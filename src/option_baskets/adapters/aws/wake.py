"""Wake-ups by SQS: a message to whoever works, delayed until a little before the instant of what is to be done."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from option_baskets.adapters.aws.service import Service, refused
from option_baskets.domain.errors import Unavailable
from option_baskets.ports import Clock, Message
from option_baskets.store import codec

EARLIER = timedelta(seconds=5)
"""Before the instant, for a worker that has to start; it waits out the rest."""
LONGEST = timedelta(seconds=900)
"""SQS delays no longer. A message due later wakes its worker early, who has it sent again."""


class SqsWake:
    """``urgent`` and ``usual`` are the URLs of two queues, so that nothing that closes waits behind an entry.

    Args:
        usual_kinds: kinds of messages that are not urgent.
        delays: whether market time runs as time does. Where it is led by hand no delay would fit: what is due later
            is not sent, and the sweep over inboxes at its minute finds it.
    """

    def __init__(
        self, sqs: Service, clock: Clock, *, urgent: str, usual: str, usual_kinds: Iterable[str], delays: bool = True
    ) -> None:
        self._sqs = sqs
        self._clock = clock
        self._urgent = urgent
        self._usual = usual
        self._usual_kinds = frozenset(usual_kinds)
        self._delays = delays

    async def __call__(self, messages: Sequence[Message]) -> None:
        """Raises Unavailable: SQS did not take one of them; the sweep over inboxes finds what nobody came for."""
        by_queue: dict[str, list[Message]] = {}
        for message in messages:
            if self._delay(message) and not self._delays:
                continue
            queue = self._usual if message.kind in self._usual_kinds else self._urgent
            by_queue.setdefault(queue, []).append(message)
        for queue, some in by_queue.items():
            for ten in _tens(some):
                answer = await self._sqs.call("send_message_batch", QueueUrl=queue, Entries=self._entries(ten))
                if failed := refused(answer):
                    raise Unavailable(f"sqs did not take {len(failed)} wake-ups: {failed[0].get('Message')}")

    def _entries(self, messages: Iterable[Message]) -> list[Mapping[str, object]]:
        return [
            {"Id": str(number), "MessageBody": codec.encode(message).decode(), "DelaySeconds": self._delay(message)}
            for number, message in enumerate(messages)
        ]

    def _delay(self, message: Message) -> int:
        wait = min(message.at - EARLIER - self._clock.now(), LONGEST)
        return max(0, int(wait.total_seconds()))


def message_of(body: str) -> Message:
    """The message a wake-up is for.

    Raises:
        ValueError: it is none of ours.
    """
    return codec.decode(body.encode(), Message)


def _tens(messages: Sequence[Message]) -> Iterable[Sequence[Message]]:
    return (messages[start : start + 10] for start in range(0, len(messages), 10))
