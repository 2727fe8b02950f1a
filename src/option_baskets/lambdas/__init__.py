"""Functions of the deployment: thin entry points over the engine, one module each."""
