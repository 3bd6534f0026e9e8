"""Metric differential privacy for words: mechanisms, their certificates, and the vocabulary they work on."""
