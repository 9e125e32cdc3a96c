"""The figures of the report: plotly values made of plain numbers, each with a sentence that says what it shows."""
