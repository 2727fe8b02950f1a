"""``baskets api``: every operation of the API, with options made from its document."""

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from option_baskets.cli.client.options import server as server_option

if TYPE_CHECKING:
    from option_baskets.cli.client.connection import Connection
    from option_baskets.cli.client.operations import Document, Operation

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command("api", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("operation", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTION]...")
@click.option("--list", "lists", is_flag=True, help="Show every operation.")
@server_option
def command(operation: str | None, arguments: tuple[str, ...], lists: bool, server: str) -> None:
    """Ask the API for one OPERATION of its document, by its operationId; its answer is printed as JSON.

    What the path, the query and headers have are options; baskets api OPERATION --help shows them, with an example of
    the body. --all fetches every page of a list and prints an item a line. Ends with 1 where the answer is a problem.

    \b
    Examples:
      baskets api --list
      baskets api create_basket --help
      baskets api list_strategies --basket-id income --all
      baskets api create_basket --body '{"name": "Income", "capital": 500000}'
      baskets api replace_strategy --strategy-id income.condor --if-match '"3"' --body @condor.json
      baskets api get_chain --underlying NIFTY --strikes 5 | jq .
    """
    from option_baskets.domain.errors import Invalid

    if not operation and not lists:
        raise Invalid("name an OPERATION; baskets api --list shows all, baskets api --help says more")
    server, arguments = _server_among(arguments, server)
    asyncio.run(_work(server, "" if lists else operation or "", arguments))


async def _work(server: str, name: str, arguments: Sequence[str]) -> None:
    from option_baskets.cli.client.connection import connected, decoded
    from option_baskets.cli.client.operations import operation

    async with connected(server) as api:
        document = decoded(await api.ask("GET", "/openapi.json", as_somebody=False))
        if not name:
            _show_all(document)
            return
        found = operation(document, name)
        parsed = command_of(found)
        with parsed.make_context(f"baskets api {name}", list(arguments)) as context:
            await _asked(api, found, dict(context.params))


def _server_among(arguments: tuple[str, ...], server: str) -> tuple[str, tuple[str, ...]]:
    """--server may stand behind the operation as well, whose options are not known before it is asked."""
    rest = list(arguments)
    for place, word in enumerate(arguments):
        if word == "--server" and place + 1 < len(arguments):
            del rest[place : place + 2]
            return arguments[place + 1], tuple(rest)
        if word.startswith("--server="):
            del rest[place]
            return word.removeprefix("--server="), tuple(rest)
    return server, arguments


# ---------------------------------------------------------------- options and help


def _show_all(document: "Document") -> None:
    from rich import box
    from rich.table import Table

    from option_baskets.cli.client.operations import operations
    from option_baskets.cli.terminal import terminal

    table = Table("operation", "method", "path", "does", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for each in operations(document):
        table.add_row(each.id, each.method, each.path, each.summary)
    console = terminal()
    if not console.is_terminal:
        console.width = 200
    console.print(table)


def command_of(operation: "Operation") -> click.Command:
    """The operation as a command, with a parameter an option."""
    options: list[click.Parameter] = [
        click.Option([each.option], required=each.required, help=each.note, metavar="TEXT")
        for each in operation.parameters
    ]
    if operation.takes_body:
        said = "JSON; @FILE or @- (standard input) reads it from there."
        options.append(click.Option(["--body"], required=True, metavar="JSON|@FILE", help=said))
    if operation.is_list:
        options.append(click.Option(["--all", "all_pages"], is_flag=True, help="Every page, an item a line."))
    options.append(click.Option(["--include", "-i"], is_flag=True, help="Show status and headers too, with the ETag."))
    options.append(click.Option(["--server"], metavar="URL", help="The server that is asked."))
    return click.Command(operation.id, params=options, help=_help_of(operation), context_settings=_HELP)


def _help_of(operation: "Operation") -> str:
    parts = [f"{operation.summary}.", operation.description, f"{operation.method} {operation.path}"]
    if operation.example is not None:
        lines = _readable(operation.example).splitlines()
        parts.append("\n".join(("\b", "A body:", *(f"  {line}" for line in lines))))
    return "\n\n".join(part for part in parts if part)


def _readable(value: object) -> str:
    """JSON over lines, with small objects and lists on one."""
    import msgspec

    text = msgspec.json.format(_line(value), indent=2).decode()
    return re.sub(r"[{\[]\n[^{}\[\]]{0,90}[}\]]", lambda found: re.sub(r"\n\s*", " ", found[0]), text)


# ---------------------------------------------------------------- asking


async def _asked(api: "Connection", operation: "Operation", given: dict[str, Any]) -> None:
    import httpx
    import msgspec

    def of(place: str) -> dict[str, str]:
        named = ((each.name, given.get(each.key)) for each in operation.parameters if each.place == place)
        return {name: value for name, value in named if value is not None}

    address, query = operation.address(of("path")), of("query")
    if given.get("all_pages"):
        async for item in api.pages(address, **query):
            click.echo(_line(item))
        return
    answer: httpx.Response = await api.ask(
        operation.method,
        address,
        query=query,
        body=_body(given["body"]) if operation.takes_body else None,
        headers=of("header"),
        as_somebody=operation.needs_login,
    )
    if given["include"]:
        click.echo(f"{answer.status_code} {answer.reason_phrase}")
        for name, value in answer.headers.items():
            click.echo(f"{name}: {value}")
        click.echo()
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        click.echo(msgspec.json.format(answer.content, indent=2))
    elif answer.content:
        click.echo(answer.text)


def _line(item: object) -> bytes:
    """JSON on one line, its numbers as they came."""
    import msgspec

    return msgspec.json.Encoder(decimal_format="number").encode(item)


def _body(given: str) -> bytes:
    """What --body says, or the file or standard input it names.

    Raises:
        Invalid: the file cannot be read.
    """
    from option_baskets.domain.errors import Invalid

    if given in {"-", "@-"}:
        return sys.stdin.buffer.read()
    if not given.startswith("@"):
        return given.encode()
    try:
        return Path(given[1:]).read_bytes()
    except OSError as error:
        raise Invalid(f"{given[1:]} cannot be read: {error.strerror}", where="--body") from error
