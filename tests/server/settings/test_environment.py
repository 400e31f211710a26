"""Options from the environment, as containers give them."""

import pytest

from modelserver.errors import UsageError
from modelserver.settings import command_line
from tests.support.server_process import ServerProcess, run_to_end

MODEL = {"MODELSERVER_MODEL_NAME": "m", "MODELSERVER_MODEL_PATH": "/models/m"}
PORT = {"MODELSERVER_PORT": "9001"}


def parse(*argv, cores=4, **variables):
    return command_line.parse(list(argv), cores=cores, variables=variables)


def test_every_option_can_come_from_the_environment():
    settings = parse(
        **MODEL, **PORT, MODELSERVER_REST_PORT="9002", MODELSERVER_METRICS_ENABLE="true",
        MODELSERVER_PLUGIN_CONFIG='{"NUM_STREAMS": "2"}', MODELSERVER_ALLOWED_ORIGINS="a.example,b.example",
        MODELSERVER_MAX_REQUEST_BYTES="4096", MODELSERVER_LOG_LEVEL="debug",
    )  # fmt: skip
    assert (settings.port, settings.rest_port, settings.monitoring.enable) == (9001, 9002, True)
    assert settings.model.wish.plugin_config == {"NUM_STREAMS": "2"}
    assert settings.cors.allowed_origins == ("a.example", "b.example")
    assert (settings.limits.max_request_bytes, settings.log_level) == (4096, "DEBUG")
    assert settings.warnings == ()


@pytest.mark.parametrize("option", ["--rest-port=7", "--rest_port=7"])
def test_the_command_line_wins(option):
    assert parse(option, **MODEL, **PORT, MODELSERVER_REST_PORT="9002").rest_port == 7


def test_an_empty_variable_is_as_good_as_none():
    assert parse(**MODEL, **PORT, MODELSERVER_REST_PORT="", MODELSERVER_SURPRISE="").rest_port == 0


def test_what_kubernetes_tells_about_services_is_not_taken_for_options():
    links = {
        "MODELSERVER_PORT": "tcp://10.0.0.1:80",
        "MODELSERVER_SERVICE_HOST": "10.0.0.1",
        "MODELSERVER_SERVICE_PORT": "80",
        "MODELSERVER_SERVICE_PORT_REST": "80",
        "MODELSERVER_PORT_80_TCP": "tcp://10.0.0.1:80",
        "MODELSERVER_PORT_80_TCP_ADDR": "10.0.0.1",
        "MODELSERVER_OTHER_SERVICE_HOST": "10.0.0.2",
        "MODELSERVER_OTHER_PORT": "tcp://10.0.0.2:80",
        "MODELSERVER_OTHER_PORT_80_TCP_PROTO": "tcp",
    }
    settings = parse("--port", "9001", **MODEL)
    assert settings.warnings == ()
    settings = parse("--rest_port", "9001", **MODEL, **links)
    assert (settings.port, settings.rest_port) == (0, 9001)
    (warning,) = settings.warnings
    assert "MODELSERVER_PORT=tcp://10.0.0.1:80 describes a Kubernetes Service" in warning


def test_a_variable_that_is_no_option_is_ignored_with_a_warning():
    (warning,) = parse(**MODEL, **PORT, MODELSERVER_FROBNICATE="1").warnings
    assert (
        warning
        == "the environment variable MODELSERVER_FROBNICATE is not an option of this server and is ignored"
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MODELSERVER_REST_PORT": "many"}, r"rest_port.*a number is exp.*: MODELSERVER_REST_PORT\)"),
        ({"MODELSERVER_REST_PORT": "70000"}, r"^rest_port number out of.*: MODELSERVER_REST_PORT\)"),
        ({"MODELSERVER_NIREQ": "x"}, r"nireq must be a whole number.*environment: MODELSERVER_NIREQ\)"),
        ({"GRPC_SERVERS": "5"}, r"grpc_workers count should be from 1 to CPU core count : 4.*GRPC_SERVERS\)"),
        ({"MODELSERVER_CONFIG_PATH": "c"}, r"Use either config_path.*MODELSERVER_CONFIG_PATH"),
    ],
)  # fmt: skip
def test_an_error_names_the_variable_it_comes_from(variables, message):
    with pytest.raises(UsageError, match=message):
        parse(**MODEL, **PORT, **variables)


def test_an_error_of_the_command_line_alone_names_no_variable():
    with pytest.raises(UsageError) as refusal:
        parse("--port", "70000", "--model_name", "m", "--model_path", "/m")
    assert str(refusal.value) == "port number out of range from 0 to 65535"


def test_grpc_servers_overrides_grpc_workers_as_in_ovms():
    assert parse("--grpc_workers", "2", **MODEL, **PORT, GRPC_SERVERS="3").workers == 3
    settings = parse("--grpc_workers", "2", **MODEL, **PORT, GRPC_SERVERS="few")
    assert settings.workers == 2
    assert settings.warnings == ("GRPC_SERVERS=few is not a number of workers and is ignored",)


def test_a_server_starts_from_the_environment_alone(repository):
    told = {"MODELSERVER_MODEL_NAME": "m", "MODELSERVER_MODEL_PATH": str(repository / "dummy")}
    with ServerProcess(**told, MODELSERVER_SURPRISE="1") as server:
        server.wait_ready()
        assert any("MODELSERVER_SURPRISE" in warning for warning in server.status()["warnings"])


def test_a_wrong_variable_exits_with_64():
    ended = run_to_end(**MODEL, MODELSERVER_PORT="70000")
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr == (
        "port number out of range from 0 to 65535 (set in the environment: MODELSERVER_PORT)\n"
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_line_breaks_at_the_end_of_a_value_are_dropped(ending):
    """They come with the content of a file in a Secret or ConfigMap."""
    given = {
        "MODELSERVER_MODEL_NAME": "m", "MODELSERVER_MODEL_PATH": "/models/m", "MODELSERVER_PORT": "9001",
        "MODELSERVER_REST_PORT": "9002", "MODELSERVER_LOG_LEVEL": "debug", "MODELSERVER_TARGET_DEVICE": "GPU",
        "MODELSERVER_METRICS_ENABLE": "true", "MODELSERVER_PLUGIN_CONFIG": '{\n\t"NUM_STREAMS": 2\r\n}',
        "MODELSERVER_GRPC_BIND_ADDRESS": "127.0.0.1,\n::1", "MODELSERVER_MODEL_CONTROL_MODE": "none",
        "GRPC_SERVERS": "2",
    }  # fmt: skip
    settings = parse(**{name: value + ending for name, value in given.items()})
    assert settings == parse(**given)
    assert (settings.model.name, settings.model.base_path) == ("m", "/models/m")
    assert (settings.port, settings.log_level, settings.workers) == (9001, "DEBUG", 2)
    assert settings.grpc_hosts == ("127.0.0.1", "::1")
    assert parse("--model_name", "m" + ending, f"--model_path=/models/m{ending}", **PORT).model.name == "m"


def test_a_value_of_line_breaks_alone_is_as_good_as_none():
    assert parse(**MODEL, **PORT, MODELSERVER_REST_PORT="\n").rest_port == 0


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MODELSERVER_MODEL_NAME": "m\nn"}, r"model_name: 'm\nn' contains a control character"),
        ({"MODELSERVER_MODEL_NAME": "\tm"}, r"model_name: '\tm' contains a control character"),
        ({"MODELSERVER_MODEL_NAME": "m\x7f"}, r"model_name: 'm\x7f' contains a control character"),
        ({"MODELSERVER_MODEL_NAME": "m\u2028"}, r"model_name: 'm\u2028' contains a control character"),
        ({"MODELSERVER_MODEL_PATH": "/a\n/b"}, r"model_path: '/a\n/b' contains a control character"),
        ({"MODELSERVER_LOG_LEVEL": "de\nbug"}, r"log_level: 'de\nbug' contains a control character"),
        ({"MODELSERVER_TARGET_DEVICE": "C\x1bPU"}, r"target_device: 'C\x1bPU' contains a control character"),
        ({"MODELSERVER_LOG_PATH": "/log/\x07"}, r"log_path: '/log/\x07' contains a control character"),
        (
            {"MODELSERVER_PLUGIN_CONFIG": '{"A\x01": 1}'},
            r"""plugin_config: '{"A\x01": 1}' contains a contr""",
        ),
        ({"MODELSERVER_REST_PORT": "90\n02"}, r"rest_port: '90\n02' contains a control character"),
    ],
)
def test_a_control_character_is_refused_shown_escaped_with_its_variable(variables, message):
    with pytest.raises(UsageError) as refusal:
        parse(**{**MODEL, **PORT, **variables})
    (variable,) = variables
    text = str(refusal.value)
    assert text.isprintable()
    assert message in text
    assert text.endswith(f"; remove it (set in the environment: {variable})")


def test_a_control_character_on_the_command_line_is_refused_too():
    for arguments in (["--model_name", "m\vn"], ["--model_name=m\vn"]):
        with pytest.raises(UsageError, match=r"model_name: 'm\\x0bn' contains a control character"):
            parse(*arguments, "--model_path", "m", **PORT)


def test_a_server_whose_name_comes_with_a_line_break_serves_every_route_under_the_plain_name(repository):
    variables = {
        "MODELSERVER_MODEL_NAME": "m\n", "MODELSERVER_MODEL_PATH": f"{repository / 'dummy'}\n",
        "MODELSERVER_LOG_LEVEL": "info\n",
    }  # fmt: skip
    body = {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
    with ServerProcess(grpc=False, **variables) as server:
        server.wait_ready()
        assert server.post("/v2/models/m/infer", body)[0] == 200
        for path in ("/v2/models/m", "/v2/models/m/ready", "/v1/models/m", "/v1/models/m/metadata"):
            assert server.get(path)[0] == 200
