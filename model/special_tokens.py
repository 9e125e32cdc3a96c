"""The ids of special tokens, the same in every tokenizer."""

PAD, UNK, BOS, EOS = 0, 1, 2, 3  # padding, unknown piece, beginning and end of a sentence
