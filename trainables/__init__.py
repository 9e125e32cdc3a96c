"""One trial: corpus, tokenizer, batches, training, evaluation, and the trainable that Ray Tune runs."""
