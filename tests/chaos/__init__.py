"""The engine killed at any instant of a whole day, while the exchange and the clock live on in another process."""
