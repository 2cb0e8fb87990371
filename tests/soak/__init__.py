"""Fuzzers, kills and signals: `make soak` runs them for up to twenty minutes, tests/test_soak.py a little of each."""
