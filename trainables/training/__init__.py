"""One model: the loop over batches, its loss and optimizer, evaluation, checkpoints."""
