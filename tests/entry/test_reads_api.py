"""What a user reads of trading, over HTTP from a server that trades: exact, in pages, and of nobody else."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.domain.money import rupees
from option_baskets.domain.reasons import Reason
from option_baskets.engine.report import DayRecord, record_of
from option_baskets.store.books import Alert, Level, Refusal
from option_baskets.wiring import LOCAL_USER
from tests.entry.served import DAY, FACTS, Server, serve

Json = dict[str, Any]

BASKET = """
format = 1
[basket]
name = "Income"
capital = 500000
mode = "paper"
[[accounts]]
id = "one"
[[accounts]]
id = "two"
[[strategies]]
name = "straddle"
underlying = "NIFTY"
entry = "09:20"
exit = "15:00"
  [[strategies.legs]]
  side = "SELL"
  type = "CE"
  strike = { rule = "atm" }
  [[strategies.legs]]
  side = "SELL"
  type = "PE"
  strike = { rule = "atm" }
  [[strategies.allocations]]
  account = "one"
  lots = 2
  [[strategies.allocations]]
  account = "two"
  lots = 1
[[strategies]]
name = "friday"
underlying = "NIFTY"
entry = "11:00"
exit = "15:10"
days = ["FRI"]
  [[strategies.legs]]
  side = "BUY"
  type = "CE"
  strike = { rule = "atm" }
  [[strategies.allocations]]
  account = "two"
  lots = 1
"""
STRADDLE, FRIDAY = "income.straddle", "income.friday"
RUN = f"{DAY}~{STRADDLE}~0"


def reads(server: Server, path: str, email: str = "ann@example.org", **asked: Any) -> Json:
    answer = asked_for(server, path, email, **asked)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def asked_for(server: Server, path: str, email: str = "ann@example.org", **asked: Any) -> httpx.Response:
    given: Any = {name.rstrip("_"): value for name, value in asked.items()}
    return server.user(email).http.get(f"/options/{path}", params=given)


def pages(server: Server, path: str, limit: int, **asked: Any) -> list[Json]:
    found: list[Json] = []
    cursor: Json = {}
    while True:
        page = reads(server, path, limit=limit, **asked, **cursor)
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def started(folder: Path) -> Iterator[Server]:
    file = folder / "income.toml"
    file.write_text(BASKET, encoding="utf-8")
    with serve(folder / "data", baskets=(load_basket_file(file, FACTS.names),)) as server:
        server.user("ann@example.org", user_id=LOCAL_USER)
        yield server


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Half past nine: the straddle is open on both accounts."""
    for server in started(tmp_path_factory.mktemp("trading")):
        server.until("09:30")
        yield server


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """After the close of the same day; the market's clock is already led on to the next."""
    for server in started(tmp_path_factory.mktemp("closed")):
        server.until("15:50")
        yield server


def record(server: Server) -> DayRecord:
    async def made() -> DayRecord:
        books = server.platform.books
        accounts = {account.id: account for account in await books.accounts(LOCAL_USER)}
        return await record_of(books, FACTS, accounts, user_id=LOCAL_USER, day=DAY)

    return server.ask(made)


# ---------------------------------------------------------------- executions


def test_a_run_is_listed_and_read_whole_with_everything_that_became_of_it(closed: Server) -> None:
    (listed,) = reads(closed, "executions", date=DAY)["items"]
    assert (listed["id"], listed["status"], listed["accounts"]) == (RUN, "CLOSED", ["one", "two"])
    assert reads(closed, "executions", strategy_id=STRADDLE)["items"] == [listed]
    assert reads(closed, "executions", strategy_id=FRIDAY)["items"] == []
    found = reads(closed, f"executions/{RUN}")
    assert found["run"] == listed
    assert [(leg["leg"], leg["account"], leg["lots"], leg["open"]) for leg in found["legs"]] == [
        ("1", "one", 2, 0),
        ("2", "one", 2, 0),
        ("1", "two", 1, 0),
        ("2", "two", 1, 0),
    ]
    assert {leg["exit_reason"] for leg in found["legs"]} == {"time"}
    assert all(leg["contract"]["strike"] for leg in found["legs"])
    filled = {order["id"]: order["filled"] for order in found["orders"]}
    for order, quantity in filled.items():
        assert sum(fill["quantity"] for fill in found["fills"] if fill["order_id"] == order) == quantity
    (kept,) = record(closed).runs
    assert {part["account"]: (part["realised"], part["charges"], part["net"]) for part in found["accounts"]} == {
        account: tuple(f"{rupees(each or Decimal(0)):f}" for each in (profit.gross, profit.charges, profit.net))
        for account, profit in kept.profits.items()
    }


# ---------------------------------------------------------------- profits and positions


@pytest.mark.parametrize("by", ["strategy", "account", "basket", "user"])
def test_the_parts_of_a_day_s_profit_are_exactly_its_record(closed: Server, by: str) -> None:
    found = reads(closed, "pnl", by=by, date=DAY)
    kept = record(closed).profit
    assert kept.charges is not None and kept.net is not None
    total = {name: Decimal(value) for name, value in found["total"].items()}
    assert (total["realised"], total["charges"], total["net"]) == (kept.gross, kept.charges, kept.net)
    assert [total["unrealised"], total["mtm"]] == [0, kept.net]
    rounding = sum(map(Decimal, found["rounding"].values()))
    for name, extra in (("realised", 0), ("unrealised", 0), ("charges", rounding), ("net", -rounding)):
        assert sum(Decimal(item["amounts"][name]) for item in found["items"]) + extra == total[name]
    told = {(item["strategy_id"], item["account"], item["basket_id"]) for item in found["items"]}
    assert (
        told
        == {
            "strategy": {(STRADDLE, "one", "income"), (STRADDLE, "two", "income")},
            "account": {(None, "one", None), (None, "two", None)},
            "basket": {(None, None, "income")},
            "user": {(None, None, None)},
        }[by]
    )


def test_open_positions_are_marked_have_greeks_and_add_up_to_the_unrealised_profit(trading: Server) -> None:
    found = reads(trading, "positions")
    assert found["as_of"].startswith(f"{DAY}T09:30:00")
    items = found["items"]
    assert [(each["leg"], each["account"], each["open"] // each["lot_size"]) for each in items] == [
        ("1", "one", 2),
        ("1", "two", 1),
        ("2", "one", 2),
        ("2", "two", 1),
    ]
    for each in items:
        made = (Decimal(each["entry_price"]) - Decimal(each["mark"])) * each["open"]
        assert abs(Decimal(each["unrealised"]) - made) < Decimal("0.02")
        assert each["greeks"]["theta"] > 0 > each["greeks"]["vega"]
        assert (each["greeks"]["delta"] < 0) == (each["contract"]["type"] == "CE")
    total = Decimal(reads(trading, "pnl", by="user")["total"]["unrealised"])
    assert abs(sum(Decimal(each["unrealised"]) for each in items) - total) <= Decimal("0.02")
    assert pages(trading, "positions", 3) == items
    assert [each["account"] for each in reads(trading, "positions", account="two")["items"]] == ["two", "two"]
    assert reads(trading, "positions", strategy_id=FRIDAY)["items"] == []


def test_nothing_is_open_after_the_close(closed: Server) -> None:
    assert reads(closed, "positions")["items"] == []


# ---------------------------------------------------------------- orders


def test_orders_come_in_pages_newest_first_and_each_has_its_steps_and_fills(closed: Server) -> None:
    orders = reads(closed, "orders", date=DAY, limit=200)["items"]
    assert len(orders) == 8
    assert pages(closed, "orders", 3, date=DAY) == orders
    assert [each["decided_at"] for each in orders] == sorted((each["decided_at"] for each in orders), reverse=True)
    assert {each["account"] for each in reads(closed, "orders", date=DAY, account="two")["items"]} == {"two"}
    assert pages(closed, "orders", 1, date=DAY, state="FILLED") == orders
    assert reads(closed, "orders", date=DAY, state="REJECTED")["items"] == []
    assert reads(closed, "orders", date=DAY - timedelta(days=3))["items"] == []
    one = reads(closed, f"orders/{orders[0]['id']}")
    assert one["order"] == orders[0]
    assert [step["state"] for step in one["steps"]][:: len(one["steps"]) - 1] == ["SENDING", "FILLED"]
    assert sum(fill["quantity"] for fill in one["fills"]) == orders[0]["filled"] == orders[0]["quantity"]


# ---------------------------------------------------------------- history


def test_the_history_reads_from_either_end_and_by_account(closed: Server) -> None:
    rows = pages(closed, "history", 200, order="asc", from_=DAY, to=DAY)
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert {"started", "scheduled", "entered", "fill", "exit_decided", "ended"} <= {row["what"] for row in rows}
    assert pages(closed, "history", 7, to=DAY) == rows[::-1]
    assert pages(closed, "history", 50, order="asc", account="two") == [row for row in rows if row["account"] == "two"]
    assert pages(closed, "history", 50, order="asc", run_id=RUN) == [row for row in rows if row["run_id"] == RUN]
    assert pages(closed, "history", 50, strategy_id=FRIDAY) == [
        row for row in rows[::-1] if row["strategy_id"] == FRIDAY
    ]
    assert pages(closed, "history", 50, to=DAY - timedelta(days=1)) == []


def test_days_that_end_before_they_begin_are_an_error_that_says_so(closed: Server) -> None:
    answer = asked_for(closed, "history", from_=DAY, to=DAY - timedelta(days=1))
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (422, "query.to")


# ---------------------------------------------------------------- alerts and refusals


def test_alerts_and_refusals_of_a_day_are_listed_newest_first(trading: Server) -> None:
    books, now = trading.platform.books, trading.now
    alerts = [
        Alert(user_id=LOCAL_USER, at=now + timedelta(seconds=n), code="drift", message=f"{n}", level=Level.CRITICAL)
        for n in range(5)
    ]
    refusal = Refusal(
        user_id=LOCAL_USER, at=now, strategy_id=FRIDAY, reason=Reason.MAX_LOTS, run_id=f"{DAY}#{FRIDAY}#0"
    )
    trading.ask(lambda: books.commit(*map(books.put_alert, alerts), books.put_refusal(refusal)))
    found = pages(trading, "alerts", 2)
    assert [each["message"] for each in found if each["code"] == "drift"] == ["4", "3", "2", "1", "0"]
    assert len({each["id"] for each in found}) == len(found)
    (refused,) = reads(trading, "refusals")["items"]
    assert (refused["reason"], refused["run_id"], refused["account"]) == ("max_lots", f"{DAY}~{FRIDAY}~0", None)
    assert reads(trading, "alerts", date=DAY - timedelta(days=1))["items"] == []


# ---------------------------------------------------------------- schedule and summary


def test_the_schedule_says_what_enters_and_leaves_and_why_something_does_not(trading: Server) -> None:
    found = reads(trading, "schedule")
    straddle, friday = found["entries"]
    assert (straddle["strategy_id"], straddle["due"], straddle["reason"]) == (STRADDLE, True, None)
    assert straddle["entry_at"] == f"{DAY}T09:20:00+05:30"
    assert [(each["id"], each["status"]) for each in straddle["runs"]] == [(RUN, "ACTIVE")]
    assert (friday["due"], friday["reason"]) == (False, "not_due")
    assert friday["detail"] == "it trades on FRI; this is a Monday"
    assert [(each["run_id"], each["exit_at"]) for each in found["exits"]] == [(RUN, f"{DAY}T15:00:00+05:30")]
    assert [each["kind"] for each in found["sessions"]] == ["normal"] * len(found["sessions"])


def test_the_schedule_of_a_holiday_names_it(trading: Server) -> None:
    found = reads(trading, "schedule", date=date(2026, 12, 25))
    assert {each["closed_because"] for each in found["sessions"]} == {"Christmas is a holiday"}
    assert {each["reason"] for each in found["entries"]} == {"session_closed"}
    next_friday = reads(trading, "schedule", date=date(2026, 11, 27))
    assert [each["due"] for each in next_friday["entries"]] == [True, True]


def test_the_summary_has_lots_and_margin_by_account_over_what_trades_on_a_day(trading: Server) -> None:
    found = reads(trading, "allocations/summary")
    assert [(each["account"], each["strategies"], each["lots"]) for each in found["accounts"]] == [
        ("one", 1, 4),
        ("two", 2, 3),
    ]
    assert [(each["account"], each["strategy_id"], each["units"]) for each in found["parts"]] == [
        ("one", STRADDLE, 2),
        ("two", FRIDAY, 1),
        ("two", STRADDLE, 1),
    ]
    assert all(Decimal(each["margin"]["total"]) > 0 for each in found["parts"])
    assert "estimate" in found["estimate"]
    today = reads(trading, "allocations/summary", date=DAY)
    assert {each["strategy_id"] for each in today["parts"]} == {STRADDLE}


# ---------------------------------------------------------------- nobody else's


PATHS = (
    "executions", "history", "positions", "orders", "alerts", "refusals"
)  # fmt: skip


def test_another_user_sees_nothing_of_it_and_gets_the_same_answer_as_for_what_never_was(closed: Server) -> None:
    for path in PATHS:
        assert reads(closed, path, "bob@example.org")["items"] == []
    assert reads(closed, "pnl", "bob@example.org")["items"] == []
    assert reads(closed, "schedule", "bob@example.org")["entries"] == []
    assert reads(closed, "allocations/summary", "bob@example.org")["parts"] == []
    order = reads(closed, "orders", date=DAY, limit=1)["items"][0]["id"]
    for mine, never in (
        (f"executions/{RUN}", "executions/2026-11-23~nobody.s~0"),
        (f"executions/{RUN}", "executions/nonsense"),
        (f"orders/{order}", "orders/AAAAAAAAAAAAAAAAAAAA"),
    ):
        answers = [asked_for(closed, path, "bob@example.org") for path in (mine, never)]
        assert [answer.status_code for answer in answers] == [404, 404]
        bodies = [{**answer.json(), "instance": ""} for answer in answers]
        assert bodies[0] == bodies[1]


@pytest.mark.parametrize("path", PATHS)
def test_a_cursor_is_good_for_nobody_else_and_not_when_tampered_with(closed: Server, path: str) -> None:
    page = reads(closed, "orders", date=DAY, limit=1)
    for email, cursor in (("bob@example.org", page["next"]), ("ann@example.org", page["next"][:-2] + "AA")):
        answer = asked_for(closed, path, email, cursor=cursor)
        assert (answer.status_code, answer.json()["errors"][0]["where"]) == (422, "query.cursor")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("executions", {"date": "2026-02-30"}),
        ("executions", {"date": "0001-01-01"}),
        ("pnl", {"by": "moon"}),
        ("orders", {"state": "LOST"}),
        ("orders", {"strategy_id": "a#b"}),
        ("orders", {"limit": 201}),
        ("history", {"to": "9999-12-31"}),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_names_the_parameter(
    closed: Server, path: str, asked: dict[str, Any]
) -> None:
    answer = asked_for(closed, path, **asked)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == f"query.{next(iter(asked))}"


# ---------------------------------------------------------------- as published


def test_every_answer_and_example_is_as_the_published_document_says(closed: Server, trading: Server) -> None:
    document = closed.http.get("/openapi.json").json()
    order = reads(closed, "orders", date=DAY, limit=1)["items"][0]["id"]
    paths = {
        **{f"/options/{path}": path for path in (*PATHS, "pnl", "schedule", "allocations/summary")},
        "/options/executions/{run_id}": f"executions/{RUN}",
        "/options/orders/{order_id}": f"orders/{order}",
    }
    for template, path in paths.items():
        content = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]
        checked = Draft202012Validator({**content["schema"], "components": document["components"]})
        for answer in (content["example"], reads(closed, path), *live(trading, template, path)):
            checked.validate(answer)


def live(trading: Server, template: str, path: str) -> list[Json]:
    return [] if "order_id" in template else [reads(trading, path)]
