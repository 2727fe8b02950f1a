"""``baskets restore``: a backup becomes the data folder."""

from pathlib import Path

import click


@click.command("restore")
@click.argument("backup", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="BACKUP")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_DATA",
    default=Path("data"),
    show_default=True,
    help="Where the books are to be (or OPTION_BASKETS_DATA).",
)
@click.option("--replace", is_flag=True, help="Set aside books that are there.")
def command(backup: Path, data: Path, replace: bool) -> None:
    """Put the books of BACKUP, a folder that baskets backup made, into the data folder.

    The backup is checked first. Books that are there are moved to a folder beside them, never deleted, and only if no
    other program uses them. Started again, baskets run asks every broker what became of orders since the backup.

    \b
    Examples:
      baskets restore backups/2026-11-24
      baskets restore backups/2026-11-24 --replace
      baskets restore /mnt/safe/monday --data /tmp/look
    """
    from option_baskets.adapters.embedded.backup import restore
    from option_baskets.entrance import IDENTITY_FILE
    from option_baskets.wiring import PAPER_FILE, TRADING_FILE

    aside = restore(backup, data, (PAPER_FILE, TRADING_FILE, IDENTITY_FILE), replace=replace)
    click.echo(f"the books of {backup} are in {data}" + (f"; those before are in {aside}" if aside else ""))
