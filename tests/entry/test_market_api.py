"""The chain, payoffs, templates and calendar over HTTP, on a real server whose market stands at 10:00."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from option_baskets.adapters.templates import templates
from option_baskets.api.http.pages import MOST
from tests.entry.served import DAY, Person, Server, serve
from tests.entry.test_plans_api import BASKET, CONDOR, STRADDLE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("market") / "data") as server:
        server.until("10:00")
        yield server


@pytest.fixture(scope="module")
def ann(server: Server) -> Person:
    return server.user()


@pytest.fixture(scope="module")
def condor(ann: Person) -> str:
    """Two lots of an iron condor on one account."""
    ann.http.post("/broker-accounts", json={"id": "one", "broker": "paper"})
    basket = ann.http.post("/options/baskets", json=BASKET).json()["id"]
    plan = CONDOR | {"allocations": [{"account": "one", "lots": 2}]}
    answer = ann.http.post(f"/options/baskets/{basket}/strategies", json=plan)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ok(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_chain_is_that_of_the_market_now(server: Server, ann: Person) -> None:
    chain = ok(ann.http.get("/options/chain", params={"underlying": "nifty", "strikes": 5}))
    assert chain["underlying"] == "NIFTY"
    assert chain["as_of"] == server.now.isoformat()
    assert chain["expiry"] == chain["expiries"][0] >= DAY.isoformat()
    assert len(chain["strikes"]) == 11
    middle = chain["strikes"][5]
    assert middle["strike"] == chain["at_the_money"]
    assert abs(float(middle["strike"]) - chain["forward"]) <= 25
    assert 0.3 < middle["call"]["delta"] < 0.7
    assert middle["call"]["delta"] - middle["put"]["delta"] == pytest.approx(1, abs=0.05)
    assert chain["straddle"] == pytest.approx(middle["call"]["price"] + middle["put"]["price"])


def test_another_expiry_is_chosen_by_its_date(ann: Person) -> None:
    expiries = ok(ann.http.get("/options/chain", params={"underlying": "NIFTY"}))["expiries"]
    later = ok(ann.http.get("/options/chain", params={"underlying": "NIFTY", "expiry": expiries[1]}))
    assert later["expiry"] == expiries[1]
    assert ann.http.get("/options/chain", params={"underlying": "NIFTY", "expiry": "2026-11-01"}).status_code == 404
    assert ann.http.get("/options/chain", params={"underlying": "GOLD"}).status_code == 404


def test_the_payoff_of_a_condor_is_bounded_by_its_wings(ann: Person, condor: str) -> None:
    payoff = ok(ann.http.get(f"/options/strategies/{condor}/payoff"))
    width, units = 200, abs(payoff["legs"][0]["units"])
    assert [leg["side"] for leg in payoff["legs"]] == ["SELL", "SELL", "BUY", "BUY"]
    assert payoff["accounts"] == ["one"]
    premium, charges = Decimal(payoff["premium"]), Decimal(payoff["charges"])
    assert payoff["best"] == pytest.approx(float(premium - charges), abs=0.02)
    assert payoff["worst"] == pytest.approx(float(premium - charges) - width * units, abs=0.02)
    levels = [point["level"] for point in payoff["curve"]]
    assert levels == sorted(levels)
    assert max(point["expiry"] for point in payoff["curve"]) == pytest.approx(payoff["best"], abs=0.02)
    for root in payoff["break_evens"]:
        (point,) = [point for point in payoff["curve"] if point["level"] == root]
        assert point["expiry"] == pytest.approx(0, abs=0.02)


def test_the_greeks_of_a_strategy_are_the_sum_of_its_legs(ann: Person, condor: str) -> None:
    found = ok(ann.http.get(f"/options/strategies/{condor}/greeks"))
    for name, places in (("delta", 0.001), ("gamma", 0.00001), ("theta", 0.05), ("vega", 0.05)):
        whole = sum(leg["greeks"][name] for leg in found["legs"])
        assert found["greeks"][name] == pytest.approx(whole, abs=places)


def test_a_strategy_without_allocations_is_shown_as_one_unit(ann: Person, condor: str) -> None:
    basket = ok(ann.http.get(f"/options/strategies/{condor}"))["basket_id"]
    made = ann.http.post(f"/options/baskets/{basket}/strategies", json=STRADDLE).json()
    payoff = ok(ann.http.get(f"/options/strategies/{made['id']}/payoff"))
    assert payoff["accounts"] == []
    assert [leg["lots"] for leg in payoff["legs"]] == [1, 1]
    assert payoff["worst"] is None


def test_templates_are_listed_and_each_is_a_body_of_a_strategy(ann: Person, condor: str) -> None:
    basket = ok(ann.http.get(f"/options/strategies/{condor}"))["basket_id"]
    listed = ok(ann.http.get("/options/templates", params={"limit": MOST}))
    assert [each["name"] for each in listed["items"]] == [each.name for each in templates()]
    assert listed["next"] is None
    one = ok(ann.http.get("/options/templates/iron-condor"))
    plan = {key: value for key, value in one["file"]["strategies"][0].items() if key != "allocations"}
    answer = ann.http.post(f"/options/baskets/{basket}/strategies", json=plan)
    assert answer.status_code == 201, answer.text
    missing = ann.http.get("/options/templates/iron-condr")
    assert missing.status_code == 404
    assert "iron-condor" in missing.json()["detail"]


def test_the_calendar_knows_holidays_and_expiries(ann: Person) -> None:
    month = ok(ann.http.get("/options/calendar", params={"month": "2026-11"}))
    days = {day["date"]: day for day in month["days"]}
    assert len(days) == 30
    assert month["is_sure"]
    (nse,) = [each for each in days["2026-11-24"]["exchanges"] if each["exchange"] == "NSE"]
    assert nse["holiday"] and not nse["hours"]  # Guru Nanak Jayanti
    expiring = [each for day in month["days"] for each in day["expiring"] if each["underlying"] == "NIFTY"]
    assert {each["lot_size"] for each in expiring} == {65}
    assert ok(ann.http.get("/options/calendar"))["month"] == "2026-11"
    assert ann.http.get("/options/calendar", params={"month": "2026-13"}).status_code == 422
