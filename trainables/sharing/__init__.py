"""Objects by URL, and what nodes without a common folder exchange there."""
