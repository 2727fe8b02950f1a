"""``baskets serve``: days that follow each other, restarts, an engine that stops, signals, figures and the log."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.cli import main
from option_baskets.cli.data_folder import alone
from option_baskets.cli.running import Speed
from option_baskets.cli.serving import background
from option_baskets.domain.errors import Halt
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.wiring import LOCAL_USER
from tests.engine.tiny_day import LISTED, QUIET, STRADDLE, record
from tests.entry.served import DAY, FACTS, Server, serve, served  # noqa: F401

AFTER = date(2026, 11, 25)
"""The session after DAY; the day in between is a holiday."""
FAR = date(2035, 1, 8)
"""A Monday that no machine that runs this has seen."""
MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
ALL_DAY = STRADDLE.replace('exit = "09:35"', 'exit = "15:00"').replace("  stop = { percent = 25 }\n", "")


def straddle(folder: Path, text: str = ALL_DAY) -> Path:
    """Sold at 09:20 of every day, out at 15:00."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "straddle.toml"
    file.write_text("format = 1\n" + text, encoding="utf-8")
    return file


def runs(server: Server, day: date) -> list[Run]:
    return server.ask(lambda: server.platform.books.runs_on(LOCAL_USER, day))


def ready(server: Server) -> dict[str, object]:
    answer = server.http.get("/ready")
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def figures(server: Server) -> dict[str, float]:
    lines = server.http.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (each.rsplit(" ", 1) for each in lines if each[0] != "#")}


# ---------------------------------------------------------------- days


def test_an_empty_folder_begins_at_the_open_and_answers(served: Server) -> None:  # noqa: F811
    assert served.http.get("/health").json() == {"status": "alive"}
    assert ready(served) == {
        "status": "ready",
        "engine": "trading",
        "market_time": "2026-11-23T09:15:00+05:30",
        "session": "2026-11-23",
        "next_session": None,
    }


def test_a_session_follows_the_close_of_the_one_before_at_once(tmp_path: Path) -> None:
    baskets = (load_basket_file(straddle(tmp_path), FACTS.names),)
    with serve(tmp_path / "data", baskets=baskets) as server:
        server.until("09:21")
        (run,) = runs(server, DAY)
        assert run.status is RunStatus.ACTIVE
        assert all(position.open for position in run.positions)
        server.until("15:39")
        (run,) = runs(server, DAY)
        assert run.status is RunStatus.CLOSED
        assert ready(server)["session"] == "2026-11-23"
        server.until("15:40")
        assert ready(server)["session"] == "2026-11-25", "the holiday in between is left out"
        assert server.now.isoformat() == "2026-11-25T09:00:00+05:30"
        server.until("09:21")
        (run,) = runs(server, AFTER)
        assert run.status is RunStatus.ACTIVE


def test_started_again_it_goes_on_where_it_was_with_what_it_held(tmp_path: Path) -> None:
    baskets = (load_basket_file(straddle(tmp_path), FACTS.names),)
    with serve(tmp_path / "data", baskets=baskets) as server:
        server.until("15:40")
        server.until("10:02")
        (held,) = runs(server, AFTER)
    with serve(tmp_path / "data") as server:
        assert server.now.isoformat() == "2026-11-25T10:02:00+05:30"
        (found,) = runs(server, AFTER)
        assert found == held
        server.until("15:10")
        (run,) = runs(server, AFTER)
        assert run.status is RunStatus.CLOSED
        assert server.ask(lambda: server.platform.books.alerts(LOCAL_USER, AFTER)) == []


def test_recorded_days_come_to_an_end_and_the_api_stays(tmp_path: Path) -> None:
    days = record(tmp_path / "days", QUIET, day=MONDAY, listings=LISTED)
    record(tmp_path / "days", QUIET, day=TUESDAY, listings=LISTED)
    for _ in range(2):  # and once more, started again
        with serve(tmp_path / "data", recorded=RecordedFeed(days)) as server:
            while server.platform.condition().engine != "over":
                server.later(timedelta(minutes=5))
            found = ready(server)
            assert (found["engine"], found["session"], found["next_session"]) == ("over", None, None)
            assert str(found["market_time"]).startswith("2026-11-24T09:")
            assert server.http.get("/health").status_code == 200


def test_an_engine_that_stops_says_why_and_leaves_the_api_up(tmp_path: Path) -> None:
    days = record(tmp_path / "days", QUIET, day=MONDAY, listings=LISTED)
    damaged = record(tmp_path / "days", QUIET, day=TUESDAY, listings=LISTED) / f"{TUESDAY}.parquet"
    damaged.write_bytes(b"not a recorded day")
    with pytest.raises(Halt, match="2026-11-24"), serve(tmp_path / "data", recorded=RecordedFeed(days)) as server:
        assert server.http.get("/ready").status_code == 200
        server.until("09:40")
        answer = server.http.get("/ready")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "the engine has stopped" in answer.json()["detail"]
        assert "2026-11-24" in answer.json()["detail"]
        assert server.http.get("/health").status_code == 200
        assert figures(server)['option_baskets_engine{state="halted"}'] == 1
        assert server.ask(server.platform.books.newest_session) == MONDAY


def test_in_real_time_nights_and_weekends_are_waited_for(tmp_path: Path) -> None:
    friday_evening = datetime(2026, 11, 20, 18, 0, tzinfo=IST)
    baskets = (load_basket_file(straddle(tmp_path), FACTS.names),)
    terms: dict[str, Any] = {"speed": Speed("real"), "wall": RealClock(1, friday_evening), "baskets": baskets}
    with serve(tmp_path / "data", day=date(2026, 11, 19), **terms) as server:
        found = ready(server)
        assert (found["engine"], found["session"], found["next_session"]) == ("between_sessions", None, "2026-11-23")
        server.until(datetime(2026, 11, 23, 8, 59, tzinfo=IST))
        assert ready(server)["engine"] == "between_sessions"
        server.until("09:21")
        assert ready(server)["engine"] == "trading"
        assert [run.status for run in runs(server, DAY)] == [RunStatus.ACTIVE]
        server.until("15:45")
        found = ready(server)
        assert (found["engine"], found["session"], found["next_session"]) == ("between_sessions", None, "2026-11-25")
        assert server.now.isoformat() == "2026-11-23T15:45:00+05:30"


def test_days_of_market_time_end_no_login(served: Server) -> None:  # noqa: F811
    ann = served.user("ann@example.org")
    served.until("15:45")
    served.until("15:45")
    assert served.now.date() > AFTER
    assert ann.http.get("/auth/me").json()["email"] == "ann@example.org"


def test_a_plan_of_the_night_is_traded_in_the_morning(tmp_path: Path) -> None:
    terms: dict[str, Any] = {"speed": Speed("real"), "wall": RealClock(1, datetime(2026, 11, 23, 15, 39, tzinfo=IST))}
    with serve(tmp_path / "data", **terms) as server:
        server.until("16:00")
        assert ready(server)["engine"] == "between_sessions"
        file = load_basket_file(straddle(tmp_path), FACTS.names)
        server.ask(lambda: server.open.machine.adopt([file]))
        server.until(datetime(2026, 11, 25, 9, 21, tzinfo=IST))
        (run,) = runs(server, AFTER)
        assert run.status is RunStatus.ACTIVE


def test_what_fails_beside_the_server_is_told_when_it_does(caplog: pytest.LogCaptureFixture) -> None:
    async def stream() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with background(stream()):
            while not caplog.records:  # noqa: ASYNC110 - the log gives no event
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert "stream has ended beside the server" in caplog.text


def test_an_open_stream_does_not_keep_the_process(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server:
        ann = server.user("ann@example.org")
        with connect(server.url.replace("http", "ws") + "/stream") as stream:
            stream.send(json.dumps({"token": ann.token}))
            assert "error" not in json.loads(stream.recv(timeout=10))
            server.loop.call_soon_threadsafe(server.stop.set)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    stream.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code in {1001, 1012}


# ---------------------------------------------------------------- figures and the log


def test_figures_count_ticks_requests_by_route_and_what_is_held(tmp_path: Path) -> None:
    baskets = (load_basket_file(straddle(tmp_path), FACTS.names),)
    with serve(tmp_path / "data", baskets=baskets) as server:
        server.until("09:30")
        for _ in range(3):
            server.http.get("/health")
        server.http.get("/nothing/here/ann@example.org")
        found = figures(server)
    assert found['option_baskets_ticks_total{late="yes"}'] == 15
    assert found['option_baskets_ticks_total{late="no"}'] == 16
    assert found["option_baskets_tick_offset_seconds_count"] == 16
    assert found["option_baskets_tick_offset_seconds_sum"] == 0
    assert found['option_baskets_orders{state="FILLED"}'] == 2
    assert found["option_baskets_orders_unknown"] == 0
    assert found["option_baskets_fills_total"] >= 2
    assert found["option_baskets_store_writable"] == 1
    request = 'option_baskets_http_request_seconds_count{{method="GET",route="{}",status="{}"}}'
    assert found[request.format("/health", 200)] == 3
    assert found[request.format("(none)", 404)] == 1
    assert not any("ann" in name or LOCAL_USER in name for name in found)


def test_a_request_is_one_line_of_the_log_without_its_query(served: Server, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    with caplog.at_level(logging.INFO, logger="option_baskets.requests"):
        served.http.get("/health?token=in-the-query", headers={"Authorization": "Bearer in-a-header"})
        served.http.get("/a%0Apath", params={"b": "in-the-query"})
        served.later(timedelta(0))  # the line comes after the answer
    lines = [each for each in caplog.records if each.name == "option_baskets.requests"]
    assert [each.getMessage() for each in lines] == ["GET /health 200", "GET /a\\npath 404"]
    assert "in-" not in "".join(str(vars(each)) for each in lines)


# ---------------------------------------------------------------- the process


def test_it_says_what_a_newcomer_needs_and_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    with process(tmp_path, "--log-json") as (url, started, screen):
        assert url in screen
        assert "baskets users" not in screen
        assert f"baskets user add you@example.com --data {tmp_path / 'data'}" in screen
        answer = httpx.get(f"{url}/ready?secret=hush")
        assert answer.status_code == 200
        started.send_signal(signal.SIGTERM)
        out, log = started.communicate(timeout=30)
    assert started.returncode == 0
    assert "the same command goes on from here" in out
    assert "hush" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    (request,) = [each for each in lines if each.get("route") == "/ready"]
    assert (request["method"], request["status"], request["path"]) == ("GET", 200, "/ready")


def test_requests_under_way_are_answered_before_it_ends(tmp_path: Path) -> None:
    with process(tmp_path) as (url, started, _):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as half:
            half.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 4\r\n\r\n")
            httpx.get(f"{url}/health")  # so that the half request has been seen
            started.send_signal(signal.SIGINT)
            half.sendall(b"body")
            assert b" 200 " in half.makefile("rb").readline()
        assert started.wait(30) == 0


def test_an_engine_that_had_stopped_ends_the_process_with_3(tmp_path: Path) -> None:
    minute = {thing: {"09:15": bars["09:15"]} for thing, bars in QUIET.items()}
    days = record(tmp_path / "days", minute, day=MONDAY, hours="09:15-09:16", listings=LISTED)
    (record(tmp_path / "days", QUIET, day=TUESDAY, listings=LISTED) / f"{TUESDAY}.parquet").write_bytes(b"damaged")
    with process(tmp_path, "--market", f"recorded:{days}", "--speed", "600") as (url, started, _):
        deadline = time.monotonic() + 30
        while httpx.get(f"{url}/ready").status_code == 200 and time.monotonic() < deadline:
            pass
        assert httpx.get(f"{url}/ready").status_code == 503
        started.send_signal(signal.SIGTERM)
        _, log = started.communicate(timeout=30)
    assert started.returncode == 3
    assert "2026-11-24" in log


@contextmanager
def process(tmp_path: Path, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]", str]]:
    """``baskets serve`` as somebody starts it, once it answers: its URL, itself, and what it has printed."""
    line = [sys.executable, "-c", "from option_baskets.cli import main; main()", "serve", "--port", "0"]
    line += ["--data", str(tmp_path / "data"), *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as started:
        guard = threading.Timer(120, started.kill)
        guard.start()
        try:
            assert started.stdout is not None
            screen = ""
            while "Ctrl-C" not in screen:
                said = started.stdout.readline()
                assert said, started.stderr.read() if started.stderr else ""
                screen += said
            found = re.search(r"http://\S+:\d+", screen)
            assert found
            yield found[0], started, screen
        finally:
            guard.cancel()
            if started.poll() is None:
                started.kill()


# ---------------------------------------------------------------- what is refused


def refused(tmp_path: Path, *options: object) -> str:
    result: Result = CliRunner().invoke(main, ["serve", "--data", str(tmp_path / "data"), *map(str, options)])
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


def test_a_port_in_use_is_refused_with_a_way_out_before_a_book_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is in use" in refused(tmp_path, "--port", port)
    assert not (tmp_path / "data").exists()


def test_a_folder_that_somebody_works_in_is_refused(tmp_path: Path) -> None:
    with alone(tmp_path / "data"):
        assert f"process {os.getpid()} trades in" in refused(tmp_path, "--port", 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speed", "max"], "'max' leaves no time to ask anything"),
        (["--speed", "-1"], "neither real, max nor a number above 0"),
        (["--market", "live"], "'live' is neither simulated nor recorded:DIR"),
        (["--market", "recorded:{days}", "--speed", "real"], "recorded days are over"),
        (["--market", "recorded:{days}", "--date", "2027-01-04"], "no day from 2027-01-04 on can be traded"),
        (["--market", "recorded:{empty}"], "nothing is recorded in that folder"),
        (["--host", "192.0.2.1"], "192.0.2.1 is no address of this machine"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, options: list[str], said: str) -> None:
    days = record(tmp_path / "days", QUIET, listings=LISTED)
    empty = tmp_path / "empty"
    empty.mkdir()
    given = [option.format(days=days, empty=empty) for option in options]
    assert said in refused(tmp_path, "--port", 0, *given)


def test_books_that_are_ahead_of_today_are_not_served_in_real_time(tmp_path: Path) -> None:
    with serve(tmp_path / "data", day=FAR):
        pass
    assert "the books in" in (told := refused(tmp_path, "--port", 0, "--speed", "real"))
    assert f"have gone on to {FAR}" in told
