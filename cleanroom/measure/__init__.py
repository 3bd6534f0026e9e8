"""Measures: what a paid statistic says, with its interval."""
