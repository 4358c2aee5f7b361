"""Selection of the kind of index: each kind is built once, and measured on held-out queries within a budget."""
