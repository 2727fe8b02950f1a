"""schemathesis against a server that trades: ``python -m tests.fuzz`` for long, ``tests/entry/test_schemathesis.py``
for a short while."""
