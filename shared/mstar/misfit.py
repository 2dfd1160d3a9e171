"""The error that a recipe's own checks raise; `parse_recipe` turns it into InvalidRecipe with the whole path."""


class Misfit(ValueError):
    """Two fields that do not fit together; `field` is the one to change, from the model that noticed."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
