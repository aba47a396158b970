"""Models: tensors in, tensors out. No files, tokenizers or data-set names."""
