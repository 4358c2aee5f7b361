"""What other libraries plug in: each file here speaks the interface of one of them."""
