"""The grammar of phantom reports: findings become a report, and a report its findings."""
