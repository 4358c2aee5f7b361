"""Images: folders, arrays and IDX files as grids of numbers, convolutional autoencoders over them."""
