"""What a text autoencoder answers over HTTP and to agents."""
