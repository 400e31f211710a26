"""The texts of the options that shape a model, read without one."""

import re

import openvino as ov
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelserver.errors import ConfigError
from modelserver.settings import notation
from modelserver.settings.config_file import Shaping


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("(1,3,224,224)", ((1, 1), (3, 3), (224, 224), (224, 224))),
        ("[1, 100:200, -1]", ((1, 1), (100, 200), (-1, -1))),
        ("1,auto", ((1, 1), (-1, -1))),
        ("(10,)", ((10, 10),)),
        ("()", ()),
        ("AUTO", None),
    ],
)
def test_a_shape_is_a_range_for_each_dimension(text, want):
    assert notation.shape(text) == want


@pytest.mark.parametrize(
    ("read", "text", "want"),
    [
        (notation.batch_size, " 1:4 ", (1, 4)),
        (notation.layout, "NHWC:NCHW", (tuple("NHWC"), tuple("NCHW"))),
        (notation.layout, "[batch,channels]", (("N", "C"), ("N", "C"))),
        (notation.layout, "n...:", (("N", "..."), ("N", "..."))),
        (notation.layout, ":NC", ((), ("N", "C"))),
        (notation.precision, "UINT8:fp32", ("u8", "f32")),
        (notation.precision, "double", ("f64", None)),
        (notation.color_format, "bgr:RGB", ("BGR", "RGB")),
        (notation.color_format, "NV12_2", ("NV12_2", "NV12_2")),
        (notation.mean, "(1, -2.5)", [1.0, -2.5]),
        (notation.scale, "58.4", [58.4]),
    ],
)
def test_a_text_is_read_as_what_the_client_sends_and_what_the_file_wants(read, text, want):
    assert read(text) == want


WRONG = [
    ("batch_size", "0", "batch_size: '0' is not a dimension: use a number above 0, -1, or a range"),
    ("batch_size", "", "batch_size: '' is not a dimension"),
    ("shape", "(1,-5)", "shape: '-5' is not a dimension"),
    ("shape", "(1,,10)", "shape: '' is not a dimension"),
    ("shape", "(1,4:2)", "shape: '4:2' is not a dimension"),
    ("shape", {"x": "auto", "y": "(a,b)"}, "shape: 'a' is not a dimension"),
    ("layout", "NHWC:N-C", "layout 'N-C' cannot be read: use one letter for each dimension"),
    ("layout", "NCC", "layout 'NCC' cannot be read"),
    ("layout", "NHWC:NCHW:NC", "layout 'NCHW:NC' cannot be read"),
    ("layout", "[N,C,]", "layout '[N,C,]' cannot be read"),
    ("precision", "fp32:fp31", "unknown precision 'fp31': use one of bf16, "),
    ("precision", ":fp32", "unknown precision '': use one of"),
    ("color_format", "BGR:CMYK", "unknown color_format 'CMYK': use one of RGB, BGR"),
    ("mean", "(1,two)", "mean '(1,two)': numbers are expected, e.g. (123.675,116.28,103.53)"),
    ("scale", "(1,0)", "scale '(1,0)': values are divided by it, so it cannot be 0"),
]


@pytest.mark.parametrize(("option", "value", "message"), WRONG)
def test_a_wrong_text_is_refused_naming_the_option_and_the_fault(option, value, message):
    with pytest.raises(ConfigError) as refusal:
        Shaping(**{option: value}).check()
    assert message in str(refusal.value)


@pytest.mark.parametrize("option", ["layout", "precision", "color_format", "mean", "scale"])
def test_an_empty_text_sets_nothing(option):
    Shaping(**{option: ""}).check()


LAYOUTS = st.one_of(
    st.text("NCHWDnchw?.[], _a1", max_size=8),
    st.lists(
        st.sampled_from(["N", "c", "height", "batch", "?", "...", " w_1", "channel", ""]), max_size=4
    ).map(lambda names: f"[{','.join(names)}]"),
)


@given(LAYOUTS)
def test_every_layout_that_openvino_takes_is_read_as_openvino_does(text):
    assume(not re.search(r",\s*[,\]]", text))  # OpenVINO drops some of these commas and sees `?` at others
    try:
        want = ov.Layout(text)
    except RuntimeError:
        return
    (names, _) = notation.layout(text)
    assert ov.Layout(f"[{','.join(names)}]" if names else "") == want
