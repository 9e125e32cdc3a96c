"""How a token's position reaches the network: the kinds (`kinds.py`, without torch), and the modules of each."""
