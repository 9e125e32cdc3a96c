"""The finalists: who they are, what they score on the test split, and how sure their order is."""
