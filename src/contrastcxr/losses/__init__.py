"""Losses: named scalar terms; weights live where they are added up."""
