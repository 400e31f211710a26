"""The command line: OVMS's options, words and exit codes."""

import pytest

from modelserver.errors import UsageError
from modelserver.settings import command_line
from modelserver.settings.limits import Cors, Limits
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
        ([*MODEL, *PORT, "--pull"], "models are not pulled from a hub"),
        ([*MODEL, *PORT, "--source-model=x/y"], "--source_model is not supported: models are not pulled"),
        ([*MODEL, *PORT, "--task", "text_generation"], "generative models are not served"),
        ([*MODEL, *PORT, "--cache_size=2"], "--cache_size is not supported: generative models"),
        ([*MODEL, *PORT, "--weight-format", "int8"], "--weight_format is not supported"),
        ([*MODEL, *PORT, "--add_to_config", "c"], "edit config.json instead"),
        ([*MODEL, *PORT, "--list_models"], "ask GET /v1/config instead"),
        ([*MODEL, *PORT, "--api_key_file", "k"], "put an authenticating proxy in front"),
        ([*MODEL, *PORT, "--trace_path=t"], "there is no tracing to a file"),
        ([*MODEL, *PORT, "--custom-node-resources-cleaner-interval-seconds=1"], "no custom nodes"),
        (
            [*MODEL, *PORT, "--rest_workers", "4"],
            "rest_workers is set but rest_port is not set. rest_port is required to start rest servers",
        ),
        ([*MODEL, *PORT, "--grpc_max_threads", "0"], "at least 1 is expected"),
        ([*MODEL, *PORT, "--grpc_memory_quota", "0"], "at least 1 is expected"),
        ([*MODEL, *PORT, "--allow_cache", "maybe"], "allow_cache must be true or false"),
        ([*MODEL, *PORT, "--model_control_mode", "poll"], "invalid choice: 'poll'"),
        ([*MODEL, *PORT, "--on_load_failure", "stay"], "invalid choice: 'stay'"),
        ([*MODEL, *PORT, "--allow_credentials", "maybe"], "true or false is expected"),
        (
            [*MODEL, *PORT, "--cpu_extension", "/no/lib.so"],
            "File path provided as an --cpu_extension parameter does not exist in the filesystem: /no/lib.so",
        ),
        ([*MODEL, *PORT, "--nireq", "100001"], "Nireq parameter too high"),
        (
            [
                *MODEL,
                *PORT,
                "--plugin_config",
                '{"CPU_THROUGHPUT_STREAMS": "1", "PERFORMANCE_HINT": "LATENCY"}',
            ],
            "PERFORMANCE_HINT and CPU_THROUGHPUT_STREAMS must not be used together",
        ),
        (
            [*MODEL, *PORT, "--hint", "LATENCY", "--plugin_config", '{"KEY_CPU_THROUGHPUT_STREAMS": "1"}'],
            "hint and KEY_CPU_THROUGHPUT_STREAMS must not be used together",
        ),
        (
            [*MODEL, *PORT, "--hint", "LATENCY", "--streams", "2"],
            "hint and streams must not be used together",
        ),
        ([*MODEL, *PORT, "--streams", "4", "--nireq", "2"], "nireq 2 is below streams 4"),
        (
            [*MODEL, *PORT, "--plugin_config", '{"ENABLE_CPU_RESERVATION": true}'],
            "ENABLE_CPU_RESERVATION is not supported",
        ),
        (
            [*MODEL, *PORT, "--target_device", "AUTO:CPU", "--plugin_config", '{"DEVICE_PROPERTIES": "x"}'],
            "plugin_config cannot be read",
        ),
        ([*MODEL, *PORT, "--model_version_policy", '{"newest": {}}'], "contains unsupported key"),
        (
            [*MODEL, *PORT, "--model_version_policy", '{"latest": {"num_versions": 0}}'],
            "Model version policy is in wrong format",
        ),
        (
            [*MODEL, *PORT, "--batch_size", "00"],
            "error parsing options - batch_size: '00' is not a dimension: use a number above 0, -1, or",
        ),
        (
            [*MODEL, *PORT, "--shape", '{"x": "(1,b)"}'],
            "error parsing options - shape: 'b' is not a dimension",
        ),
        ([*MODEL, *PORT, "--layout", "N-C"], "error parsing options - layout 'N-C' cannot be read"),
        ([*MODEL, *PORT, "--precision", "fp31"], "error parsing options - unknown precision 'fp31': use one"),
        ([*MODEL, *PORT, "--color_format", "CMYK"], "error parsing options - unknown color_format 'CMYK'"),
        ([*MODEL, *PORT, "--mean", "two"], "error parsing options - mean 'two': numbers are expected"),
        ([*MODEL, *PORT, "--scale", "0"], "error parsing options - scale '0': values are divided by it"),
        (["--model_name", "m", "--model_path", "s3://b/m", *PORT], "s3:// storage is not supported yet"),
        (["--model_name", "m", "--model_path", "../m", *PORT], "must not contain .."),
        (["--model_name", "..", "--model_path", "m", *PORT], "clients take '..' in a URL for a directory"),
        ([*MODEL, "--port", "1", "--grpc_bind_address", "::,"], "grpc_bind_address has invalid format"),
    ],
)
def test_a_wrong_command_line_is_refused_in_ovms_words(arguments, message):
    with pytest.raises(UsageError) as refusal:
        command_line.parse(arguments, cores=4)
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
    settings = command_line.parse(
        ["--model-name=m", "--model-path=/models/a-b", "--rest-port=9", "--metrics-enable"], cores=4
    )
    assert (settings.rest_port, settings.status_port, settings.monitoring.enable) == (9, 9, True)
    assert settings.model.base_path == "/models/a-b"


def test_a_value_may_begin_with_a_minus():
    arguments = ["--shape", "-1,10", "--batch-size", "-1", "--mean", "-1.5"]
    shaping = command_line.parse([*MODEL, *PORT, *arguments]).model.shaping
    assert (shaping.shape, shaping.batch_size, shaping.mean) == ("-1,10", "-1", "-1.5")


def test_options_without_effect_are_accepted_with_a_warning():
    settings = command_line.parse(
        [*MODEL, *PORT, "--grpc_max_threads", "8", "--allow_cache", "true"], cores=4
    )
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
    settings = command_line.parse(
        [*MODEL, *PORT, *(part for pair in given.items() for part in pair)], cores=4
    )
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
    settings = command_line.parse(
        [*MODEL, *PORT, "--grpc_channel_arguments", "grpc.max_connection_age_ms=2000,a=b"], cores=4
    )
    assert settings.channel_arguments == (("grpc.max_connection_age_ms", 2000), ("a", "b"))


def test_cors_and_limits_have_ovms_defaults():
    settings = command_line.parse([*MODEL, *PORT], cores=4)
    assert settings.cors == Cors(
        allow_credentials=False, allowed_origins=("*",), allowed_methods=("*",), allowed_headers=("*",)
    )
    assert (settings.limits.memory_quota, settings.limits.max_request_bytes) == (2147483648, 1 << 30)
    assert (settings.model_control_mode, settings.access_log) == ("explicit", False)


def test_cors_and_limits_are_read():
    settings = command_line.parse(
        [*MODEL, *PORT, "--allow-credentials", "--allowed_origins", "https://a.example, https://b.example",
         "--allowed-methods=GET,POST", "--allowed_headers", "x-token", "--queue_size=3", "--access_log",
         "--request_timeout_seconds", "0", "--grpc_memory_quota", "100000", "--model_control_mode=none"],
        cores=4,
    )  # fmt: skip
    assert settings.cors == Cors(
        allow_credentials=True,
        allowed_origins=("https://a.example", "https://b.example"),
        allowed_methods=("GET", "POST"),
        allowed_headers=("x-token",),
    )
    assert settings.limits == Limits(queue_size=3, request_timeout_seconds=None, memory_quota=100000)
    assert (settings.model_control_mode, settings.access_log) == ("none", True)


def test_loads_that_fail_at_the_start_end_a_single_model_and_wait_for_many():
    assert command_line.parse([*MODEL, *PORT]).on_load_failure == "exit"
    assert command_line.parse(["--config_path", "c", *PORT]).on_load_failure == "wait"
    assert command_line.parse([*MODEL, *PORT, "--on-load-failure=wait"]).on_load_failure == "wait"


def test_an_option_without_a_value_is_as_good_as_none(tmp_path):
    """Templates write such."""
    names = (
        "batch_size",
        "shape",
        "layout",
        "plugin_config",
        "model_version_policy",
        "nireq",
        "target_device",
    )
    empty = [f"--{name}=" for name in names]
    model = ["--model_name", "m", "--model_path", str(tmp_path), "--port", "9000"]
    assert command_line.parse([*model, *empty]).model == command_line.parse(model).model
