"""Run multi-leg index-option strategies over several Indian brokers at once."""
