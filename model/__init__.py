"""The transformer: configuration, attention, layers, encoder-decoder, decoding. Needs only torch and pydantic."""
