"""Ray, on this machine or on a running cluster: nodes, slots, and running trials."""
