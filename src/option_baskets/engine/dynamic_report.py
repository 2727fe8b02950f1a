"""A day's units by a policy in the documented JSON form (docs/replay-json.md): every number from runs to units."""

from collections.abc import Mapping

from option_baskets.domain.dynamic import DynamicUnits, Result, Share, UnitsOfDay

Json = Mapping[str, object]


def units_as_json(record: UnitsOfDay) -> Json:
    policy = record.policy
    percent = policy.max_drawdown_percent
    return {
        "policy": policy.id,
        "basket": record.basket_id,
        "total": policy.total,
        "score": policy.score,
        "look_back": policy.look_back,
        "least": policy.least,
        "most": policy.most,
        "max_step": policy.max_step,
        "max_drawdown_percent": None if percent is None else f"{percent:f}",
        "capital": f"{record.capital:f}",
        "shares": [_share(share) for share in record.shares],
        "note": record.note or None,
    }


def given_as_json(dynamic: DynamicUnits | None) -> Json | None:
    if dynamic is None:
        return None
    return {"policy": dynamic.policy, "units": dynamic.units, "why": dynamic.why}


def _share(share: Share) -> Json:
    return {
        "strategy": share.name,
        "closed_runs": [_result(result) for result in share.results],
        "before": share.before,
        "is_new": share.is_new,
        "score": None if share.score is None else f"{share.score:f}",
        "drawdown": f"{share.drawdown:f}",
        "verdict": share.verdict,
        "target": share.target,
        "low": share.low,
        "high": share.high,
        "units": share.units,
        "why": share.why,
    }


def _result(result: Result) -> Json:
    return {"run": result.run_id, "net": f"{result.net:f}", "charge_unknown": list(result.unknown)}
