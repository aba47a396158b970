"""Search for a report, outside the network."""
