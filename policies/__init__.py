"""Policies: what the parties agreed on and signed, and whether a job keeps to it."""
