"""Option pricing on numbers: float64 arrays in, float64 arrays out."""

from option_baskets.pricing.black76 import Greeks, HigherGreeks, higher_greeks, price_and_greeks
from option_baskets.pricing.black_scholes import SpotGreeks, black_scholes_merton
from option_baskets.pricing.implied import ImpliedGreeks, implied_greeks, implied_volatility

__all__ = [
    "Greeks",
    "HigherGreeks",
    "ImpliedGreeks",
    "SpotGreeks",
    "black_scholes_merton",
    "higher_greeks",
    "implied_greeks",
    "implied_volatility",
    "price_and_greeks",
]
