"""Templates: basket files that come with the package, one well-known strategy each.

A template is written for NIFTY, with distances in points that are multiples of NIFTY's strike step. Its first line is
a comment that says when the strategy is used.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

from option_baskets.adapters.basket_file import BasketFile, parse_basket
from option_baskets.adapters.basket_file.fields import nearest
from option_baskets.domain.basket import Strategy
from option_baskets.domain.errors import NotFound

WRITTEN_FOR = "NIFTY"
STEP = Decimal(50)
"""Index points between the strikes the distances were written for."""

_POINTS = re.compile(r"(strike = \{.*\bpoints = )(-?\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    name: str
    """As a person types it, e.g. ``iron-condor``."""
    text: str

    @property
    def when(self) -> str:
        """When the strategy is used, in a sentence."""
        return self.text.partition("\n")[0].lstrip("# ")

    @property
    def basket(self) -> BasketFile:
        return parse_basket(self.text, file=f"{self.name}.toml")

    @property
    def strategy(self) -> Strategy:
        (strategy,) = self.basket.strategies
        return strategy

    def fitted(self, underlying: str, step: Decimal) -> str:
        """The file for another underlying, whose strikes are ``step`` index points apart: as many steps as here."""

        def scaled(match: re.Match[str]) -> str:
            return f"{match[1]}{(int(match[2]) * step / STEP).normalize():f}"

        return _POINTS.sub(scaled, self.text).replace(WRITTEN_FOR, underlying)


@cache
def templates() -> tuple[Template, ...]:
    """All of them, by name."""
    folder = files("option_baskets") / "templates"
    found = (each for each in folder.iterdir() if each.name.endswith(".toml"))
    made = (Template(name=each.name.removesuffix(".toml"), text=each.read_text(encoding="utf-8")) for each in found)
    return tuple(sorted(made, key=lambda template: template.name))


def template(name: str) -> Template:
    """Raises NotFound: there is none of that name; the message says which may be meant."""
    known = {each.name: each for each in templates()}
    wanted = name.strip().lower().replace(" ", "-").replace("_", "-").removesuffix(".toml")
    if wanted not in known:
        guess = nearest(wanted, known)
        raise NotFound(f"there is no template {name!r}; {guess + ' ' if guess else ''}`baskets templates` lists them")
    return known[wanted]
