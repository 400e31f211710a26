"""A peer that answers in another encoding than it was asked for is refused before it is measured."""

import json

import numpy as np
import pytest

from bench.answers import Reply, WrongAnswerError, check_binary, check_message, check_text
from modelserver import proto

EXPECTED = np.arange(1, 11, dtype=np.float32).reshape(1, 10)


def document(**fields) -> bytes:
    output = {"name": "a", "shape": [1, 10], "datatype": "FP32", **fields}
    return json.dumps({"model_name": "dummy", "outputs": [output]}).encode()


def text(values=EXPECTED) -> Reply:
    return Reply(document(data=values.ravel().tolist()), None)


def binary(values=EXPECTED, **fields) -> Reply:
    head = document(parameters={"binary_data_size": 40}, **fields)
    return Reply(head + values.tobytes(), len(head))


def test_right_answers_pass():
    check_text(text(), EXPECTED)
    check_binary(binary(), EXPECTED)
    check_message(
        proto.ModelInferResponse(raw_output_contents=[EXPECTED.tobytes()]).SerializeToString(), EXPECTED
    )


def test_json_where_raw_tensors_were_asked_for_is_refused():
    with pytest.raises(WrongAnswerError, match="raw tensors were asked for"):
        check_binary(text(), EXPECTED)


def test_raw_tensors_where_json_was_asked_for_are_refused():
    with pytest.raises(WrongAnswerError, match="JSON was asked for"):
        check_text(binary(), EXPECTED)


def test_a_raw_tensor_beside_its_numbers_is_refused():
    with pytest.raises(WrongAnswerError, match="no raw tensor of 40 bytes"):
        check_binary(binary(data=[1.0]), EXPECTED)


def test_a_raw_tensor_of_another_size_is_refused():
    with pytest.raises(WrongAnswerError, match="no raw tensor of 40 bytes"):
        check_binary(binary(EXPECTED[:, :9]), EXPECTED)


def test_a_message_without_raw_contents_is_refused():
    message = proto.ModelInferResponse()
    message.outputs.add(name="a", datatype="FP32", shape=[1, 10]).contents.fp32_contents.extend(range(10))
    with pytest.raises(WrongAnswerError, match="the answer has none"):
        check_message(message.SerializeToString(), EXPECTED)


@pytest.mark.parametrize(("check", "reply"), [(check_text, text), (check_binary, binary)])
def test_wrong_numbers_are_refused(check, reply):
    with pytest.raises(WrongAnswerError, match="was expected"):
        check(reply(EXPECTED + 1), EXPECTED)
