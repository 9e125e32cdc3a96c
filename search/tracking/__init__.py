"""Tracking of a search with W&B and TensorBoard; see docs/tracking.md."""
