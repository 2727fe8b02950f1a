"""The app: routers, errors as problems, limits, and the OpenAPI document."""

from importlib import import_module

from fastapi import FastAPI

from option_baskets.api.http import problems
from option_baskets.api.http.bodies import BodyLimit
from option_baskets.api.http.turns import Turns
from option_baskets.api.http.watched import Watched
from option_baskets.api.openapi import describe
from option_baskets.api.platform import Platform

ROUTERS: tuple[str, ...] = (
    "auth",
    "system",
    "baskets",
    "strategies",
    "legs",
    "allocations",
    "runs",
    "history",
    "positions",
    "orders",
    "alerts",
    "schedule",
    "summary",
    "controls",
    "kill_switches",
    "limits",
    "stream",
    "broker_accounts",
    "market",
    "templates",
    "calendar",
)
"""Modules of this package with a ``router``."""


def make_app(platform: Platform) -> FastAPI:
    """The whole API over a platform."""
    app = FastAPI(
        title="Option Baskets",
        openapi_url=None,  # FastAPI would encode it again for everybody who asks
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.platform = platform
    without = {"auth"} if platform.sign_in is None else set()
    for name in (each for each in ROUTERS if each not in without):
        app.include_router(import_module(f"option_baskets.api.{name}").router)
    problems.register(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Turns)
    app.add_middleware(Watched, metrics=platform.metrics)
    describe(app, is_whole=not without)
    return app
