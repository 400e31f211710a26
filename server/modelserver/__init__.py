"""The inference server: OpenVINO models behind the KServe v2 protocol."""

__version__ = "0.1.0"
