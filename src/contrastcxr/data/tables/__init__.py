"""Tables as files have them: opened, checked, streamed and kept in the cache."""
