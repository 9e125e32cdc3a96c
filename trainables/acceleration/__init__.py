"""Faster training: CUDA graphs, several GPUs, several models as one computation."""
