"""The inference side: what a person uses to take pictures apart and compose new ones."""
