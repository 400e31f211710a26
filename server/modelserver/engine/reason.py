"""OpenVINO's messages without its source positions."""


def reason(error: Exception) -> str:
    """What went wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    noise = ("Exception from src/", "Caught exception:", "Check '")
    told = [line for line in lines if line and not line.startswith(noise)]
    return " ".join(told) or str(error).strip()
