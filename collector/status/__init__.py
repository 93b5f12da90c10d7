"""How rules and collectors fare: counted here, and told to all others."""
