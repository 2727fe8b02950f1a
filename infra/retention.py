"""How long logs are kept, as CDK names it."""

from aws_cdk import aws_logs as logs

_NAMES = {
    1: "ONE_DAY", 3: "THREE_DAYS", 5: "FIVE_DAYS", 7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 60: "TWO_MONTHS",
    90: "THREE_MONTHS", 120: "FOUR_MONTHS", 150: "FIVE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR",
}  # fmt: skip


def retention(days: int) -> logs.RetentionDays:
    """``days`` is one of ``environments.LOG_DAYS``."""
    found: logs.RetentionDays = logs.RetentionDays[_NAMES[days]]
    return found
