"""What is known of items beside who touched them: tags, texts, vectors."""
