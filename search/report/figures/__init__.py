"""The figures of the report: Plotly figures of plain numbers, each with a sentence on what it shows."""
