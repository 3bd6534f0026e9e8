"""Loops over rows, compiled by numba (the extra `fast`). `matching.batch` drives them; nothing else calls them."""
