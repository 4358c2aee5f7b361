"""What an image autoencoder answers over HTTP and to agents."""
