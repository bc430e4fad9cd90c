"""The AWS adapters: the only place, with `local`, that imports boto3."""
