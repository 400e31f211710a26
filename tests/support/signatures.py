"""Signatures of models that need not exist."""

from modelserver.signature import Signature, Spec


def signature_of(*inputs):
    """Of a model with these inputs, each a name, a datatype and the least and greatest size per dimension."""
    specs = (Spec(name, frozenset([name]), datatype, tuple(dims), "") for name, datatype, dims in inputs)
    outputs = (Spec(name, frozenset([name]), "FP32", ((0, -1),), "") for name in ("a", "b"))
    return Signature(tuple(specs), tuple(outputs))


def taking(**tensors):
    """Of a model that takes such tensors, of any size."""
    return signature_of(
        *((name, tensor.datatype, [(0, -1)] * tensor.data.ndim) for name, tensor in tensors.items())
    )


NUMBERS = signature_of(("x", "FP32", [(0, -1)]))
