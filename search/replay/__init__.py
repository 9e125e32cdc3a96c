"""How good a policy is: the real samplers and schedulers on tables of systems that were trained already."""
