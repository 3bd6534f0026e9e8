"""The room: what parties prepare and submit, what is matched and paid for, what leaves."""
