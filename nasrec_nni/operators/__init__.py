"""Elastic operators and mergers, the embedding table, optimizers of what is touched, compiled kernels."""
