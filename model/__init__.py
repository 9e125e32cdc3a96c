"""The transformer: configuration, attention, layers, encoder-decoder, decoding. Needs torch and pydantic alone."""
