"""Hand-made models as plain torch modules, by the settings that they share."""
