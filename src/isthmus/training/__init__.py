"""One training loop that names no domain: plan (what defines a model), run (what merely runs it), trainer."""
