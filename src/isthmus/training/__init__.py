"""One training loop for all domains: plan (what is trained), run (how it is run), trainer."""
