"""What a deployment does beyond CloudFormation: the logic of its custom resources.

The functions behind custom resources have no layer, so this package is standard library alone.
"""
