"""The whole strategy entered again, from its table."""

from option_baskets.adapters.basket_file.fields import Fields
from option_baskets.domain.basket import Strategy
from option_baskets.domain.entry_rules import Restart
from option_baskets.domain.restart import MOST_RESTARTS


def read_restart(fields: Fields) -> Restart | None:
    """``check_restart`` holds it against the rules it follows."""
    table = fields.table("restart", "{ on_stop = 2, on_target = 1 }", required=False)
    if table is None:
        return None
    restart = Restart(
        on_stop=table.integer("on_stop", 2, 0, most=MOST_RESTARTS),
        on_target=table.integer("on_target", 1, 0, most=MOST_RESTARTS),
    )
    table.close()
    if restart == Restart() and table.is_sound:
        table.add("", "it never enters again; write for example restart = { on_stop = 2 }, or remove it")
    return restart


def check_restart(fields: Fields, strategy: Strategy) -> None:
    """Tell restarts after what never happens."""
    restart, exits = strategy.restart, strategy.exits
    if restart is None:
        return
    if restart.on_stop and exits.stop is None and not fields.has("stop"):
        what = "the strategy has no stop of its own to enter again after; a leg's stop has its own on_stop"
        fields.add("restart.on_stop", f"{what}; write one, for example stop = {{ rupees = 5000 }}, or remove it")
    if restart.on_target and not (exits.target or exits.lock or fields.has("target") or fields.has("lock")):
        what = "the strategy has no target or lock of its own to enter again after"
        fields.add("restart.on_target", f"{what}; write one, for example target = {{ rupees = 5000 }}, or remove it")
