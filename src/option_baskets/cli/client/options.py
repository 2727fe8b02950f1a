"""Options by which a command says which server it means, or that it means a data folder."""

import click
from click.core import ParameterSource

SERVER = "OPTION_BASKETS_SERVER"
USUAL = "http://127.0.0.1:8000"

server = click.option(
    "--server",
    metavar="URL",
    envvar=SERVER,
    default=USUAL,
    show_default=True,
    help=f"The server that is asked (or {SERVER}).",
)
"""Of commands that only speak to a server."""

or_server = click.option(
    "--server",
    metavar="URL",
    envvar=SERVER,
    help=f"Ask this server, as who is logged in there, in place of a data folder (or {SERVER}).",
)
"""Of commands that work on a data folder too."""


def chosen(ctx: click.Context) -> str | None:
    """The server that is meant by --server and --data; None: the data folder. What is typed counts before variables.

    Raises:
        Invalid: both are given alike.
    """
    from option_baskets.domain.errors import Invalid

    server: str | None = ctx.params["server"]
    ranks = (ParameterSource.ENVIRONMENT, ParameterSource.COMMANDLINE)
    sources = (ctx.get_parameter_source(name) for name in ("server", "data"))
    of_server, of_data = (ranks.index(source) if source in ranks else -1 for source in sources)
    if not server or of_data > of_server:
        return None
    if of_data == of_server:
        raise Invalid("both a server and a data folder are given; say which by --server or --data", where="--server")
    return server
