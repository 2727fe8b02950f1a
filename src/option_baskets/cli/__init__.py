"""The command ``baskets``. Every command lives in a module of its own and is imported only when it is used."""

from importlib import import_module

import click

_COMMANDS = {
    "audit": "Everything that was decided, ordered and done, in order of time.",
    "api": "Any operation of the API, by its name.",
    "arm": "Release what kill has thrown: entries again.",
    "backup": "Copy the books to a new folder while they are in use.",
    "bench": "Measure this machine: how exactly the timer wakes.",
    "calendar": "Sessions, holidays, expiries and lot sizes of a month.",
    "chain": "An option chain of a recorded day, with volatilities and Greeks.",
    "check": "Check basket files and say what to mend.",
    "exit": "Close the open runs of a strategy now.",
    "explain": "What strategies do on a recorded day, and why.",
    "import": "Turn market data files into the canonical form.",
    "kill": "The kill switch: stop, cancel, exit, stay out.",
    "login": "Log in at a server, for the commands that ask it.",
    "logout": "End a login at a server.",
    "new": "Write a basket file from a template.",
    "payoff": "What a file's strategies would make and risk, with margins.",
    "push": "Make the plans at a server those of basket files.",
    "reconcile": "The books beside the exchange's own: orders and positions.",
    "replay": "Run baskets over recorded days.",
    "restore": "Put the books of a backup into the data folder.",
    "run": "Run the trading day: real or accelerated clock.",
    "schema": "The JSON Schema of basket files, for editors.",
    "serve": "The HTTP API, and the trading day with it, in one process.",
    "simulate": "Write simulated days in the canonical form.",
    "smile": "Implied volatility over strikes on a recorded day.",
    "status": "What is open at a server, what it makes, what happens.",
    "templates": "The strategies that come with the package.",
    "user": "Who may log in: add, list, disable, new passwords.",
    "vault": "The keys that seal secrets: make a new one, look at them.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"option_baskets.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name]) for name in sorted(_COMMANDS)])

    def invoke(self, ctx: click.Context) -> object:
        from option_baskets.domain.errors import Halt, OptionBasketsError

        try:
            return super().invoke(ctx)
        except OptionBasketsError as error:
            raise (_Halted if isinstance(error, Halt) else click.ClickException)(str(error)) from error


class _Halted(click.ClickException):
    exit_code = 3


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="option-baskets")
def main() -> None:
    """Run multi-leg index-option strategies over several brokers at once.

    \b
    Examples:
      baskets run examples/*.toml --speed max             a whole simulated day in seconds
      baskets check examples/conservative-income.toml     is this basket file right?
      baskets replay DIR --basket FILE --date 2022-06-30  what would it have done?
    """
