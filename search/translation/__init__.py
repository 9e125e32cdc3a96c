"""The problem of translation: preparing text, scoring finalists, and sections of the report."""
