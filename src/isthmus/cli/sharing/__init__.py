"""Commands that give a bundle to others: over the network, or in the formats of other tools."""
