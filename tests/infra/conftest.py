"""Templates as fixtures, one test an environment."""

from tests.infra.templates import auth, trading

__all__ = ["auth", "trading"]
