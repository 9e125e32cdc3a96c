"""Corpora that others publish, by their names; the packages that fetch them keep them in their caches."""
