"""The spaces as NNI's model spaces: the supernet, NNI's labels and samples, freezing."""
