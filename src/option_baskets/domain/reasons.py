"""Why something was not done, and why a leg was closed: the two stable vocabularies users see."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a run was skipped or failed, lots were not traded, or an order was refused. Codes never change."""

    LATE_ENTRY = "late_entry"
    NOT_DUE = "not_due"
    PAUSED = "paused"
    DELETED = "deleted"
    SESSION_CLOSED = "session_closed"
    AT_OR_AFTER_EXIT = "at_or_after_exit"
    NO_REFERENCE_PRICE = "no_reference_price"
    NO_ELIGIBLE_STRIKE = "no_eligible_strike"
    NOT_LISTED = "not_listed"
    STALE_QUOTE = "stale_quote"
    NO_QUOTE = "no_quote"
    NO_LOT_SIZE = "no_lot_size"
    ACCOUNT_UNKNOWN = "account_unknown"
    ACCOUNT_UNAVAILABLE = "account_unavailable"
    RATE_LIMIT = "rate_limit"
    PRICE_MOVED = "price_moved"
    BROKER_REJECTED = "broker_rejected"
    NOT_FILLED = "not_filled"
    HEDGE_NOT_FILLED = "hedge_not_filled"
    ENTRY_FAILED = "entry_failed"
    CANCELLED = "cancelled"
    ABSENT = "absent"
    RESTARTED = "restarted"
    KILLED = "killed"
    INTERNAL_ERROR = "internal_error"


class ExitReason(StrEnum):
    """Why a leg was closed: the first rule, in the order of evaluation, that closed it."""

    TIME = "time"
    STOP = "stop"
    TARGET = "target"
    TRAIL = "trail"
    STRATEGY_STOP = "strategy_stop"
    STRATEGY_TARGET = "strategy_target"
    LOCK = "lock"
    SQUARE_OFF = "square_off"
    BASKET_STOP = "basket_stop"
    ALLOCATION_STOP = "allocation_stop"
    ACCOUNT_STOP = "account_stop"
    KILL = "kill"
    MANUAL = "manual"
    UNWIND = "unwind"
    EXTERNAL = "external"
    EXPIRY = "expiry"
