"""``baskets backup``: a copy of the books while they are in use."""

from pathlib import Path

import click


@click.command("backup")
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_DATA",
    default=Path("data"),
    show_default=True,
    help="Where the books are kept (or OPTION_BASKETS_DATA).",
)
def command(out: Path, data: Path) -> None:
    """Copy books and users of the data folder to the new folder OUT, and check the copies.

    Keys are not copied: keep a copy of them elsewhere, or what is sealed stays sealed. baskets run and baskets serve
    may go on meanwhile; nothing waits. Where a copy cannot be made whole, OUT does not appear.

    \b
    Examples:
      baskets backup backups/2026-11-24
      baskets backup /mnt/safe/monday --data /var/lib/baskets
    """
    from option_baskets.adapters.embedded.backup import back_up
    from option_baskets.entrance import IDENTITY_FILE
    from option_baskets.wiring import PAPER_FILE, TRADING_FILE

    # The exchange first: whatever order its copy has, the journal had before, and so has the later copy.
    for path in back_up(data, out, (PAPER_FILE, TRADING_FILE, IDENTITY_FILE)):
        click.echo(f"{path}  {path.stat().st_size:,} bytes, whole")
