"""Order and time: what models read of them, recency, and splits along them."""
