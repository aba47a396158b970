"""The cache of encoder features, and the samples and batches that are made of them."""
