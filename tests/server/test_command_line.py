"""The command line: OVMS's options, words and exit codes."""

import pytest

from modelserver import cli
from modelserver.errors import UsageError
from tests.support.server_process import run_to_end

MODEL = ["--model_name", "m", "--model_path", "/models/m"]
PORT = ["--port", "9001"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (MODEL, "port and rest_port cannot both be unset"),
        ([*MODEL, "--port", "1", "--rest_port", "1"], "port and rest_port cannot have the same values"),
        ([*MODEL, "--port", "65536"], "port number out of range from 0 to 65535"),
        ([*MODEL, *PORT, "--grpc_workers", "0"], "grpc_workers count should be from 1 to CPU core count : 4"),
        ([*MODEL, *PORT, "--grpc_workers", "5"], "grpc_workers count should be from 1 to CPU core count : 4"),
        (
            [*MODEL, *PORT, "--rest_port", "2", "--rest_workers", "1"],
            "rest_workers count should be from 2 to 10000",
        ),
        (
            [*MODEL, *PORT, "--log_level", "LOUD"],
            "log_level should be one of: TRACE, DEBUG, INFO, WARNING, ERROR",
        ),
        ([*MODEL, *PORT, "--grpc_bind_address", "a b"], "grpc_bind_address has invalid format"),
        (
            [*MODEL, *PORT, "--metrics_enable"],
            "rest_port setting is missing, metrics are enabled on rest port",
        ),
        ([*MODEL, *PORT, "--config_path", "c"], "Use either config_path or model_path with model_name"),
        (["--model_name", "m", *PORT], "Use config_path or model_path with model_name"),
        (
            ["--config_path", "c", "--nireq", "2", *PORT],
            "Model parameters in CLI are exclusive with the config file",
        ),
        ([*MODEL, *PORT, "--plugin_config", "{"], "plugin_config is not valid JSON"),
        ([*MODEL, *PORT, "--nireq", "many"], "nireq must be a whole number"),
        ([*MODEL, *PORT, "--frobnicate", "1"], "unmatched arguments: --frobnicate"),
        ([*MODEL, *PORT, "--stateful"], "--stateful is not supported"),
        ([*MODEL, *PORT, "--sequence_cleaner_poll_wait_minutes", "5"], "is not supported"),
        ([*MODEL, *PORT, "--grpc_channel_arguments", "x"], "key=value is expected"),
        ([*MODEL, *PORT, "--grpc_channel_arguments", "a=99999999999"], "out of the range"),
        ([*MODEL, *PORT, "--drain_seconds", "inf"], "at least 0 is expected, not inf"),
        ([*MODEL, *PORT, "--file_system_poll_wait_seconds", "nan"], "at least 0 is expected, not nan"),
        ([*MODEL, *PORT, "--nireq", "9" * 5000], "nireq must be a whole number"),
        (
            [*MODEL, *PORT, "--metrics_list", "ovms_streams"],
            "metrics_enable setting is missing, required when metrics_list is provided",
        ),
        (
            [*MODEL, "--rest_port", "2", "--metrics_enable", "--metrics_list", "ovms_speed"],
            "Invalid name in metrics_list: ovms_speed",
        ),
        (["--model_name", "m", "--model_path", "s3://b/m", *PORT], "s3:// storage is not supported yet"),
        (["--model_name", "m", "--model_path", "../m", *PORT], "must not contain .."),
    ],
)
def test_a_wrong_command_line_is_refused_in_ovms_words(arguments, message):
    with pytest.raises(UsageError) as refusal:
        cli.parse(arguments, cores=4)
    assert message in str(refusal.value)


def test_a_wrong_command_line_exits_with_64_and_one_line():
    ended = run_to_end(*MODEL)
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr == "port and rest_port cannot both be unset\n"


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_exit_with_0(flag):
    ended = run_to_end(flag)
    assert ended.returncode == 0
    assert "ModelServer" in ended.stdout or "model_path" in ended.stdout


def test_hyphens_and_equal_signs_are_accepted():
    settings = cli.parse(
        ["--model-name=m", "--model-path=/models/a-b", "--rest-port=9", "--metrics-enable"], cores=4
    )
    assert (settings.rest_port, settings.status_port, settings.monitoring.enable) == (9, 9, True)
    assert settings.model.base_path == "/models/a-b"


def test_options_without_effect_are_accepted_with_a_warning():
    settings = cli.parse([*MODEL, *PORT, "--grpc_max_threads", "8", "--allow_cache", "true"], cores=4)
    assert [warning.split()[0] for warning in settings.warnings] == ["--grpc_max_threads", "--allow_cache"]


def test_model_options_reach_the_model():
    given = {
        "--batch_size": "4",
        "--layout": "NHWC:NCHW",
        "--nireq": "8",
        "--target_device": "AUTO:GPU,CPU",
        "--plugin_config": '{"NUM_STREAMS": "4"}',
        "--model_version_policy": '{"latest": {"num_versions": 2}}',
        "--mean": "(1,2,3)",
    }
    settings = cli.parse([*MODEL, *PORT, *(part for pair in given.items() for part in pair)], cores=4)
    model = settings.model
    assert (model.shaping.batch_size, model.shaping.layout, model.shaping.mean) == (
        "4",
        "NHWC:NCHW",
        "(1,2,3)",
    )
    assert (model.wish.nireq, model.wish.device) == (8, "AUTO:GPU,CPU")
    assert model.wish.plugin_config == {"NUM_STREAMS": "4"}
    assert model.policy.latest == 2


def test_channel_arguments_are_numbers_where_they_can_be():
    settings = cli.parse(
        [*MODEL, *PORT, "--grpc_channel_arguments", "grpc.max_connection_age_ms=2000,a=b"], cores=4
    )
    assert settings.channel_arguments == (("grpc.max_connection_age_ms", 2000), ("a", "b"))
