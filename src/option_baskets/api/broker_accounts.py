"""Broker accounts: what trades at a broker or on the paper exchange, and the secrets it is reached by.

Secrets go in and never come out: answers say which are set. An account is written before its secrets and deleted
before them (``store/secrets.py``).
"""

from dataclasses import asdict, replace
from datetime import date

import msgspec
from fastapi import APIRouter, Request, Response

from option_baskets.api.account_bodies import body_of, is_account_id, read_account_again, read_new_account
from option_baskets.api.account_views import EXAMPLE, AccountView, ConnectionView, account_view
from option_baskets.api.http.asking import Asker, Asking
from option_baskets.api.http.bodies import document
from option_baskets.api.http.contract import CHANGES, ETAG, VERSIONED, Answer, answers
from option_baskets.api.http.etags import IfMatch, IfNoneMatch, etag, is_known, require_match
from option_baskets.api.http.pages import Page, Paged
from option_baskets.api.http.problems import Told, User
from option_baskets.api.http.repeats import RepeatableRoute
from option_baskets.api.plan_answers import PlanAnswer
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.connection import ConnectionResult, ConnectionTest
from option_baskets.domain.credentials import needed_by, require_credentials
from option_baskets.domain.errors import Conflict, NotFound
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.session import IST
from option_baskets.store.accounts import AccountUse, use_of
from option_baskets.store.secrets import AccountSecret, Secrets

router = APIRouter(prefix="/broker-accounts", tags=["broker accounts"], route_class=RepeatableRoute)

_ATTEMPTS = 5
_SHOWN = msgspec.json.decode(PlanAnswer(EXAMPLE).body)
_CONNECTED = ConnectionTest(
    result=ConnectionResult.CONNECTED,
    detail="paper shows 12 orders of today and 4 open positions",
    orders=12,
    positions=4,
)


@router.get(
    "",
    summary="List broker accounts",
    responses=answers(Page[AccountView], example=Page(items=(_SHOWN,), next=None)),
    response_model=None,
)
async def list_broker_accounts(asker: Asking, page: Paged) -> Response:
    """All accounts, those that came with basket files too, by id."""
    given = {secret.account_id: secret for secret in await _secrets(asker).secrets(asker.user_id)}
    accounts = await asker.books.accounts(asker.user_id)
    shown = page.of(accounts, lambda each: each.id, lambda each: _view(asker, each, given.get(each.id)))
    return PlanAnswer(shown)


@router.post(
    "",
    status_code=201,
    summary="Add a broker account",
    responses=answers(
        AccountView,
        status=201,
        description="It can be allocated to.",
        example=_SHOWN,
        problems=CHANGES,
        headers={**ETAG, "Location": "Where it is."},
    ),
    response_model=None,
    openapi_extra=body_of("NewAccount"),
)
async def create_broker_account(asker: Asking, request: Request) -> Response:
    """The account as one of `[[accounts]]` in a basket file, and with `secret` what the broker asks for.

    Without `secret` it can be given later. Paper accounts have none.
    """
    account, secret = read_new_account(await document(request))
    values = None if secret is None else _credentials(asker, account, secret, where="secret")
    if await asker.books.account(asker.user_id, account.id) is not None:
        raise Conflict(f"there is an account {account.id} already; change that one, or take another id")
    account = await asker.books.save_account(asker.user_id, account)
    secrets, kept = _secrets(asker), None
    if values is None:
        await secrets.delete_secret(asker.user_id, account.id)  # what a former account of this id may have left
    else:
        kept = await secrets.save_secret(asker.user_id, account.id, values, at=asker.platform.wall.now())
    headers = {"ETag": etag(account.version), "Location": f"/broker-accounts/{account.id}"}
    return PlanAnswer(_view(asker, account, kept), 201, headers=headers)


@router.get(
    "/{account_id}",
    summary="A broker account",
    responses=answers(AccountView, example=_SHOWN, headers=ETAG) | {304: {"description": "It is as it was."}},
    response_model=None,
)
async def get_broker_account(
    asker: Asking, account_id: str, request: Request, if_none_match: IfNoneMatch = None
) -> Response:
    """With the secrets its broker asks for today, and which of them are set."""
    account = await _account(asker, account_id)
    headers = {"ETag": etag(account.version)}
    if is_known(request, account.version):
        return Response(status_code=304, headers=headers)
    return PlanAnswer(await _shown(asker, account), headers=headers)


@router.put(
    "/{account_id}",
    summary="Change a broker account",
    responses=answers(AccountView, example=_SHOWN, problems=(*CHANGES, *VERSIONED), headers=ETAG),
    response_model=None,
    openapi_extra=body_of("AccountEdit"),
)
async def update_broker_account(asker: Asking, account_id: str, request: Request, if_match: IfMatch = None) -> Response:
    """Whose charges apply, and the daily loss at which it is left. A day that is under way goes by it at once."""
    before = await _account(asker, account_id)
    changed = read_account_again(await document(request), before)
    require_match(if_match, before.version)
    account = await asker.books.save_account(asker.user_id, replace(changed, version=before.version))
    await asker.looked_at()
    return PlanAnswer(await _shown(asker, account), headers={"ETag": etag(account.version)})


@router.delete(
    "/{account_id}",
    status_code=204,
    summary="Remove a broker account and its secrets",
    responses=answers(None, status=204, description="It is gone.", problems=("conflict", "in-use", *VERSIONED)),
    response_model=None,
)
async def delete_broker_account(asker: Asking, account_id: str, if_match: IfMatch = None) -> Response:
    """Refused while an allocation or an open run uses it: `used_by` names them."""
    account = await _account(asker, account_id)
    require_match(if_match, account.version)
    use = await use_of(asker.books, asker.user_id, account.id)
    if use:
        raise Told(
            kind="in-use",
            detail="delete the allocations to it, and let the open runs end or exit them",
            used_by=await _users(asker, use),
        )
    await asker.books.delete_account(asker.user_id, account.id, version=account.version)
    await _secrets(asker).delete_secret(asker.user_id, account.id)
    return Response(status_code=204)


@router.put(
    "/{account_id}/secret",
    summary="Give a broker account its secrets",
    responses=answers(
        AccountView,
        description="The new ones are used from now on; the old ones are gone.",
        example=_SHOWN,
        problems=CHANGES,
        headers=ETAG,
    ),
    response_model=None,
    openapi_extra=body_of("AccountSecret"),
)
async def rotate_broker_secret(asker: Asking, account_id: str, request: Request) -> Response:
    """All of them: those that are not in the body are no longer set. They are sealed, and never shown again."""
    account = await _account(asker, account_id)
    values = _credentials(asker, account, await document(request), where="")
    await _secrets(asker).save_secret(asker.user_id, account.id, values, at=asker.platform.wall.now())
    account = await _touched(asker, account)
    return PlanAnswer(await _shown(asker, account), headers={"ETag": etag(account.version)})


@router.delete(
    "/{account_id}/secret",
    status_code=204,
    summary="Take a broker account's secrets away",
    responses=answers(None, status=204, description="There are none any more.", problems=("conflict",)),
    response_model=None,
)
async def delete_broker_secret(asker: Asking, account_id: str) -> Response:
    """The account stays. At the broker, end the app's access too."""
    account = await _account(asker, account_id)
    await _secrets(asker).delete_secret(asker.user_id, account.id)
    await _touched(asker, account)
    return Response(status_code=204)


@router.post(
    "/{account_id}/test",
    summary="Test the connection to the broker",
    responses=answers(
        ConnectionView,
        description="What came of it; also where it did not succeed.",
        example=ConnectionView(**asdict(_CONNECTED)),
    ),
    response_model=None,
)
async def test_broker_account(asker: Asking, account_id: str) -> Response:
    """Ask the broker for the account's orders and positions. Nothing is ordered.

    `no_connection` says that this server cannot speak to that broker: nobody was asked and no secret was tried.
    """
    account = await _account(asker, account_id)
    found = await asker.platform.accounts.test(asker.user_id, account)
    return Answer(ConnectionView(**asdict(found)))


# ---------------------------------------------------------------- what the routes share


def _secrets(asker: Asker) -> Secrets:
    return Secrets(asker.platform.private, asker.platform.vault)


async def _account(asker: Asker, account_id: str) -> BrokerAccount:
    found = await asker.books.account(asker.user_id, account_id) if is_account_id(account_id) else None
    if found is None:
        raise NotFound("there is no such account")
    return found


def _today(asker: Asker) -> date:
    """On the wall's clock: what a broker asks for does not depend on the day that is traded."""
    return asker.platform.wall.now().astimezone(IST).date()


def _credentials(asker: Asker, account: BrokerAccount, given: object, *, where: str) -> dict[str, str]:
    return require_credentials(asker.platform.facts, account.broker, given, _today(asker), where=where)


async def _shown(asker: Asker, account: BrokerAccount) -> AccountView:
    return _view(asker, account, await _secrets(asker).secret(asker.user_id, account.id))


def _view(asker: Asker, account: BrokerAccount, secret: AccountSecret | None) -> AccountView:
    return account_view(account, needed_by(asker.platform.facts, account.broker, _today(asker)), secret)


async def _touched(asker: Asker, account: BrokerAccount) -> BrokerAccount:
    """The account in a new version: its view has changed, the engine connects anew, and the history has who did it."""
    for _ in range(_ATTEMPTS):
        try:
            return await asker.books.save_account(asker.user_id, account)
        except Conflict:
            account = await _account(asker, account.id)
    raise Conflict(f"account {account.id} is being changed by somebody else; read it again")


async def _users(asker: Asker, use: AccountUse) -> tuple[User, ...]:
    names = {each.id: each.name for each in await asker.books.strategies(asker.user_id)}
    allocations = (User(kind="allocation", id=one.id, name=names.get(one.strategy_id, "")) for one in use.allocations)
    runs = (User(kind="run", id=public_run_id(run.id), name=run.strategy.name) for run in use.runs)
    return (*allocations, *runs)
