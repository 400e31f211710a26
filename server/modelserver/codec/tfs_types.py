"""TensorFlow's names for the datatypes, and the fields of a TensorProto that carry single values."""

DATATYPES = {
    "BOOL": ("DT_BOOL", "bool_val"),
    "UINT8": ("DT_UINT8", "int_val"),
    "UINT16": ("DT_UINT16", "int_val"),
    "UINT32": ("DT_UINT32", "uint32_val"),
    "UINT64": ("DT_UINT64", "uint64_val"),
    "INT8": ("DT_INT8", "int_val"),
    "INT16": ("DT_INT16", "int_val"),
    "INT32": ("DT_INT32", "int_val"),
    "INT64": ("DT_INT64", "int64_val"),
    "FP16": ("DT_HALF", "half_val"),
    "BF16": ("DT_BFLOAT16", "half_val"),
    "FP32": ("DT_FLOAT", "float_val"),
    "FP64": ("DT_DOUBLE", "double_val"),
    "BYTES": ("DT_STRING", "string_val"),
}
SIGNATURE = "serving_default"
"""The one signature that a model has here."""
