"""The recipes that come with the package, as YAML; `config.read_recipe` reads them."""
