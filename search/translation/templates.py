"""Templates of pages and sections that show translations."""

from pathlib import Path

from jinja2 import FileSystemLoader

from search.report.page import PAGE, TEMPLATES

FOLDERS = [Path(__file__).parent, TEMPLATES]
OWN = PAGE.overlay(loader=FileSystemLoader(FOLDERS))
