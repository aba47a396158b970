"""Heads: what a system answers with."""
