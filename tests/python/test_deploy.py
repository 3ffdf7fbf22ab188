"""What is under deploy/ asks for: flags and variables that the binary has, ports it takes, times that are long enough."""
import configparser
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest
import yaml

import server as servers

DEPLOY = servers.REPOSITORY / "deploy"
UNIT = DEPLOY / "systemd" / "textflight.service"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
DOCKERFILE = (servers.REPOSITORY / "Dockerfile").read_text()
# What textflight reads beside its own.
OTHERS = {"HF_HOME", "PORT"}


@pytest.fixture(scope="module")
def help_text():
    run = servers.run("serve", "--help")
    assert run.returncode == 0
    return run.stdout


def variables(help_text):
    return set(re.findall(r"\[env: (TEXTFLIGHT_[A-Z_]+)", help_text)) | OTHERS


def drain_seconds(help_text):
    return int(re.search(r"--drain-timeout.*?\[default: (\d+)\]", help_text, re.DOTALL)[1])


class Repeated(dict):
    """A key of systemd's that comes again adds to what it had."""

    def __setitem__(self, key, value):
        if key in self and isinstance(value, list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def unit(text):
    parser = configparser.ConfigParser(dict_type=Repeated, strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str
    parser.read_string(text)
    return {name: parser[name] for name in parser.sections()}


@pytest.fixture(scope="module", params=["as it is", "with all that it offers"])
def service(request):
    text = UNIT.read_text()
    if request.param != "as it is":
        text = re.sub(r"^#(?=[A-Z][A-Za-z]+=)", "", text, flags=re.MULTILINE)
    return unit(text)["Service"]


def test_the_unit_sets_what_the_binary_knows(service, help_text):
    assert shlex.split(service["ExecStart"]) == ["/usr/local/bin/textflight", "serve"]
    set_here = {entry.partition("=")[0] for line in service["Environment"].splitlines() for entry in line.split()}
    assert set_here >= {"HF_HOME", "TEXTFLIGHT_SPOOL_DIR"} and set_here <= variables(help_text)


def test_the_environment_file_sets_what_the_binary_knows(help_text):
    assert UNIT.read_text().count(f"EnvironmentFile=-/etc/textflight/{UNIT.stem}.env\n") == 1
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", UNIT.with_suffix(".env").read_text(), re.MULTILINE)
    assert len(lines) >= 4
    assert {name for name, _ in lines} <= variables(help_text)


def test_the_unit_waits_for_the_drain_and_holds_the_server_tight(service, help_text):
    assert int(service["TimeoutStopSec"]) > drain_seconds(help_text)
    assert service["RestartPreventExitStatus"] == "2"
    for name, value in {"DynamicUser": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "NoNewPrivileges": "yes"}.items():
        assert service[name] == value, name
    assert service["CacheDirectory"].split() == ["textflight", "textflight/spool"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not on this machine: the tests above read the unit themselves")
def test_systemd_takes_the_unit(tmp_path):
    text = UNIT.read_text()
    for name, content in [("as-it-is", text), ("with-all", re.sub(r"^#(?=[A-Z][A-Za-z]+=)", "", text, flags=re.MULTILINE))]:
        # The binary lies elsewhere here.
        copy = tmp_path / f"{name}.service"
        copy.write_text(content.replace("/usr/local/bin/textflight", str(servers.BINARY)))
        run = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stderr) == (0, ""), run.stderr


@pytest.fixture(scope="module")
def manifests():
    return {manifest["kind"]: manifest for path in MANIFESTS for manifest in yaml.safe_load_all(path.read_text())}


@pytest.fixture(scope="module")
def pod(manifests):
    return manifests["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    [only] = pod["containers"]
    return only


def image_environment():
    """What the image sets."""
    [block] = re.findall(r"^ENV (TEXTFLIGHT_MODEL.*?[^\\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return dict(entry.split("=", 1) for entry in block.replace("\\\n", " ").split())


def test_kubernetes_sets_what_the_binary_knows(container, help_text):
    names = [variable["name"] for variable in container["env"]]
    assert len(set(names)) == len(names) and set(names) <= variables(help_text)
    assert "args" not in container and "command" not in container, "the image's own command serves"


def test_kubernetes_reaches_the_ports_that_the_image_serves(manifests, container):
    exposed = {int(port) for port in re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[1].split()}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert set(ports.values()) == exposed
    assert ports == {"flight": 8815, "http": int(image_environment()["PORT"])}
    assert {port["targetPort"] for port in manifests["Service"]["spec"]["ports"]} == set(ports)
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"]:
        assert container[probe]["grpc"] == {"port": ports["flight"]}, probe


def test_kubernetes_selects_the_pods_that_it_makes(manifests):
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["Service"]["spec"]["selector"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert manifests["PodDisruptionBudget"]["spec"]["minAvailable"] < manifests["Deployment"]["spec"]["replicas"]


def test_kubernetes_waits_for_the_drain(pod, container, help_text):
    [_, pause] = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(pause) + drain_seconds(help_text)


def test_kubernetes_gives_the_pod_no_more_than_it_needs(pod, container):
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups()
    context = pod["securityContext"]
    assert (context["runAsNonRoot"], str(context["runAsUser"]), str(context["runAsGroup"])) == (True, *user)
    assert container["securityContext"]["readOnlyRootFilesystem"] and not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_kubernetes_mounts_what_the_server_reads_and_writes(pod, container):
    environment = image_environment() | {variable["name"]: variable["value"] for variable in container["env"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for path in [environment["HF_HOME"], environment["TEXTFLIGHT_SPOOL_DIR"]]:
        assert "emptyDir" in volumes[mounts[path]], path
    tokens = pathlib.PurePath(environment["TEXTFLIGHT_TOKEN_FILE"])
    assert "secret" in volumes[mounts[str(tokens.parent)]]
    assert environment["TEXTFLIGHT_ALLOW_ANONYMOUS"] == "false"


def test_kubernetes_lets_the_spool_say_that_it_is_full(pod, help_text):
    limit = int(re.search(r"--spool-limit.*?\[default: (\d+)GiB\]", help_text, re.DOTALL)[1])
    [spool] = [volume for volume in pod["volumes"] if volume["name"] == "spool"]
    assert int(spool["emptyDir"]["sizeLimit"].removesuffix("Gi")) > limit


@pytest.fixture(scope="module")
def job():
    return yaml.safe_load((DEPLOY / "kubernetes-job" / "job.yaml").read_text())["spec"]


@pytest.fixture(scope="module")
def worker(job):
    [only] = job["template"]["spec"]["containers"]
    return only


def test_the_job_gives_each_pod_a_shard_of_its_own(job, worker, tmp_path):
    assert job["completionMode"] == "Indexed" and job["parallelism"] <= job["completions"]
    shard = worker["args"][worker["args"].index("--shard") + 1]
    assert shard == f"$(JOB_COMPLETION_INDEX)/{job['completions']}"
    # The command is one that the binary takes, with the first index and the last.
    mounts = {mount["mountPath"]: tmp_path / mount["name"] for mount in worker["volumeMounts"]}
    (tmp_path / "lake").mkdir()
    shutil.copy(servers.REPOSITORY / "data" / "reviews.parquet", tmp_path / "lake")
    for index in [0, job["completions"] - 1]:
        command = [argument.replace("$(JOB_COMPLETION_INDEX)", str(index)) for argument in worker["command"][1:] + worker["args"]]
        done = servers.run(*[mounts.get(argument, argument) for argument in command], "--model", servers.MODEL, "--text", "text")
        assert done.returncode == 0, done.stderr
    command = [argument.replace("$(JOB_COMPLETION_INDEX)", str(job["completions"])) for argument in command[:-1] + [shard]]
    assert servers.run(*command).returncode == 2


def test_the_job_sets_what_the_binary_knows(worker):
    run = servers.run("score", "--help")
    assert {variable["name"] for variable in worker["env"]} <= variables(run.stdout)
    threads = {variable["name"]: variable["value"] for variable in worker["env"]}["TEXTFLIGHT_THREADS"]
    assert threads == worker["resources"]["requests"]["cpu"]


def test_the_job_begins_again_what_may_succeed(job):
    wrong, disrupted = job["podFailurePolicy"]["rules"]
    assert (wrong["action"], wrong["onExitCodes"]["values"]) == ("FailJob", [2])
    assert (disrupted["action"], disrupted["onPodConditions"]) == ("Ignore", [{"type": "DisruptionTarget"}])
    # Kubernetes takes such a policy with this alone.
    assert job["template"]["spec"]["restartPolicy"] == "Never" and job["backoffLimitPerIndex"] > 0


def test_the_job_gives_its_pods_no_more_than_they_need(job, worker):
    pod = job["template"]["spec"]
    test_kubernetes_gives_the_pod_no_more_than_it_needs(pod, worker)
    mounts = {mount["mountPath"]: mount for mount in worker["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    read, written = worker["args"][0], worker["args"][worker["args"].index("-o") + 1]
    assert mounts[read]["readOnly"] and volumes[mounts[read]["name"]]["persistentVolumeClaim"]["readOnly"]
    assert "readOnly" not in mounts[written] and "readOnly" not in volumes[mounts[written]["name"]]["persistentVolumeClaim"]
    assert "emptyDir" in volumes[mounts[image_environment()["HF_HOME"]]["name"]]
