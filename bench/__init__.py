"""Benchmarks: what the design promises, measured as ratios to a plain way of doing the same in the same run.

`make bench` (or `python -m bench`) writes `.run/bench.json`. Nothing here asserts: numbers are for people, since a
busy machine makes any time long.
"""
