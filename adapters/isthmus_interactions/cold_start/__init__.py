"""Items without interactions, placed by what else is known of them: tags, texts, vectors."""
