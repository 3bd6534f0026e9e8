"""Identifiers to handles to a stable match: who is on both lists, without either list being shown."""
