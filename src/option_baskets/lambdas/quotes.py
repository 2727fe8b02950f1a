"""See ``dispatching.py``; a function of its own, so that it has rights, time and alarms of its own."""

from option_baskets.lambdas.dispatching import handle as handler

__all__ = ["handler"]
