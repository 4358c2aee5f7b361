"""Static embeddings: bags of token vectors that learn the vectors of a teacher."""
