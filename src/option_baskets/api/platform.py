"""What the routes are given. No adapter is named here, so that a server and a Lambda can both make one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from option_baskets.api.condition import Condition
from option_baskets.api.connections import Connections
from option_baskets.api.http.rates import Allowance
from option_baskets.api.live import Live
from option_baskets.api.metrics import Metrics
from option_baskets.domain.cadence import Cadence
from option_baskets.domain.facts import Facts
from option_baskets.domain.session import Session
from option_baskets.ports import Clock, Identity, MarketData, Queue, SignIn, Table, Vault
from option_baskets.store.books import Books


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The store, the queue and the market, and who may ask for what.

    Nothing of the engine is here: routes write what is wanted to the store, and the engine, wherever it runs, finds it.
    """

    books: Books
    """On the market's clock."""
    queue: Queue
    feed: MarketData
    facts: Facts
    cadence: Cadence
    """How far the schedule trigger has looked ahead."""
    market: Clock
    """Trading, and the history of plans."""
    wall: Clock
    """Tokens, lock-outs, repeats and rates."""
    private: Table
    """TableName.IDENTITY, on the wall clock: what is kept of requests."""
    identity: Identity
    sign_in: SignIn | None = None
    """Users and logins of our own; None where they are kept elsewhere, and then there is no ``/auth``."""
    vault: Vault
    accounts: Connections
    """Tests broker accounts."""
    session: Callable[[], Session | None]
    """The session under way, if there is one."""
    cursor_key: bytes
    """What page cursors are signed with; the same in every process of one installation."""
    look: Callable[[str], Awaitable[None]] | None = None
    """Has somebody look at what a user has just written: switches, leaves, accounts, limits. None: the engine looks by
    itself."""
    live: Live | None = None
    """Who tells the clients of /stream; None: somebody else does."""
    allowance: Allowance = field(default_factory=Allowance)
    """How much one user may ask."""
    condition: Callable[[], Condition] = Condition
    """How the engine and its store are."""
    metrics: Metrics = field(default_factory=Metrics)
