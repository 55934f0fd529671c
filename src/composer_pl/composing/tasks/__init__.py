"""The paper's tasks: each a short function from a composer and pictures to a `Drawing`."""
