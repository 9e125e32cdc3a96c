"""Used by all other folders: configuration, files, locks, errors, how programs end."""
