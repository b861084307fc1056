"""The recipes that come with the package, as YAML; ``recipes.reading`` reads them."""
