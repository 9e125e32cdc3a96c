"""How fast models translate, measured with models that need not be trained."""
