"""The ids of special tokens: every tokenizer numbers them so."""

PAD, UNK, BOS, EOS = 0, 1, 2, 3  # padding, unknown piece, beginning and end of a sentence
