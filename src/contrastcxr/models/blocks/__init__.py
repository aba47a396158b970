"""Building blocks shared by decoders."""
