"""``baskets schema``: the JSON Schema of basket files."""

import click


@click.command
def command() -> None:
    """Print the JSON Schema of basket files, so that an editor completes keys and marks mistakes while you type.

    An editor with TOML support finds it by the first line of a basket file: #:schema ./basket.schema.json

    \b
    Examples:
      baskets schema > basket.schema.json
    """
    import json

    from option_baskets.adapters.basket_file.schema import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
