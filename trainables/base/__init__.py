"""What everything stands on: configuration, files, locks, errors, the ends of programs."""
