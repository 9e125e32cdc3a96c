"""The finals: choosing finalists, testing them, and the significance of their order."""
