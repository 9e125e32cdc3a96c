"""The same training on several GPUs, or of several models as one computation."""
