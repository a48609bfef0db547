"""A recipe for each model: the same number of trials for searched and hand-made ones, chosen by validation log loss."""
