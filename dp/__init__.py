"""Privacy: budgets, exact aggregates, noise with a receipt, and the ledger that pays for it."""
