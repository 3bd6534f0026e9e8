"""Learning from paid noisy statistics: bounded features, lookalikes, how good they are, whom they choose."""
