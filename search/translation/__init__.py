"""The problem of finding a translation model: what is prepared, how finalists are scored, what the report shows."""
