"""Each cluster file is what Ray, AWS, Google Cloud, Kubernetes or Slurm take, as far as that can be known offline."""

import copy
import json
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import botocore.session
import googleapiclient
import pytest
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]
CLUSTERS = ROOT / "configs" / "clusters"
LAUNCHED = [ROOT / "cluster.yaml", CLUSTERS / "gcp.yaml", CLUSTERS / "on-premises.yaml"]
KUBERAY = [CLUSTERS / "kuberay.yaml", CLUSTERS / "kuberay-job.yaml"]

# Of the ray.io/v1 API, what these files use.
RAY_CLUSTER = {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "authOptions", "headGroupSpec"}
RAY_JOB = {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec"}
WORKERS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def read(file: Path) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(file.read_text())
    return tree


def node_types(file: Path) -> dict[str, dict[str, Any]]:
    types: dict[str, dict[str, Any]] = read(file)["available_node_types"]
    return types


def aws_mistakes(node_config: dict[str, Any]) -> str:
    """What EC2's RunInstances would refuse."""
    shape = botocore.session.Session().get_service_model("ec2").operation_model("RunInstances").input_shape
    return str(ParamValidator().validate({"MinCount": 1, "MaxCount": 1, **node_config}, shape).generate_report())


def gcp_mistakes(value: Any, schema: str = "Instance") -> Iterator[str]:
    """Names that Compute Engine's description of an instance lacks, and values of another type."""
    file = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents" / "compute.v1.json"
    schemas = json.loads(file.read_text())["schemas"]

    def walk(value: Any, shape: dict[str, Any], path: str) -> Iterator[str]:
        shape = schemas[shape["$ref"]] if "$ref" in shape else shape
        kinds: dict[str, Any] = {"object": dict, "array": list, "string": (str, int), "boolean": bool, "integer": int}
        if not isinstance(value, kinds[shape["type"]]):
            yield f"{path}: {value!r} is no {shape['type']}"
        elif "enum" in shape and value not in shape["enum"]:
            yield f"{path}: {value!r} is none of {shape['enum']}"
        elif isinstance(value, list):
            for item in value:
                yield from walk(item, shape["items"], f"{path}[]")
        elif isinstance(value, dict):
            for key, below in value.items():
                if key not in shape["properties"]:
                    yield f"{path}.{key}: unknown"
                else:
                    yield from walk(below, shape["properties"][key], f"{path}.{key}")

    yield from walk(value, {"$ref": schema}, schema)


@pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.stem)
def test_ray_up_takes_the_file_and_nobody_gets_in_without_the_token(file: Path) -> None:
    config = read(file)
    validate_config(prepare_config(copy.deepcopy(config)))
    assert any(target.endswith(".ray/auth_token") for target in config["file_mounts"])
    starts = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert "RAY_AUTH_MODE=token" in str(config.get("docker", {}).get("run_options", []) + config["setup_commands"])
    assert "nofile=65536" in str(config.get("docker")) or str(starts).count("ulimit -n 65536") == 2
    (head,) = [command for command in starts if "--head" in command]
    assert "--dashboard-host=127.0.0.1" in head or "--include-dashboard=false" in head
    assert 3 <= file.read_text().count("CHANGE") <= 8


@pytest.mark.parametrize("file", LAUNCHED[:2], ids=lambda file: file.stem)
def test_workers_come_on_demand_and_spot_is_not_all_there_is(file: Path) -> None:
    config, types = read(file), node_types(file)
    head = types.pop("head")
    assert head["resources"] == {"CPU": 0}
    assert all(kind["min_workers"] == 0 and kind["resources"]["GPU"] == 1 for kind in types.values())
    spot = [name for name, kind in types.items() if "spot" in str(kind["node_config"]).lower()]
    assert len(spot) >= 2 and len({str(types[name]["node_config"]) for name in spot}) == len(spot)
    assert len(spot) < len(types) and "spot" not in str(head).lower()
    assert config["idle_timeout_minutes"] <= 5 and config["provider"]["cache_stopped_nodes"] is False
    assert any(
        command.startswith(f"nohup python -m search.cluster.spot_notice {config['provider']['type']} ")
        for command in config["worker_start_ray_commands"]
    )
    assert config["docker"]["image"].startswith(f"rayproject/ray:{version('ray')}-py3")


def test_aws_takes_each_node_and_a_typo_is_found() -> None:
    for kind in node_types(ROOT / "cluster.yaml").values():
        assert not aws_mistakes(kind["node_config"])
    worker = node_types(ROOT / "cluster.yaml")["l4_spot"]["node_config"]
    assert "InstanceMarketOption" in aws_mistakes({**worker, "InstanceMarketOption": {"MarketType": "spot"}})
    assert "VolumeSise" in aws_mistakes(
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSise": 1}}]}
    )


def test_google_cloud_takes_each_node_and_a_typo_is_found() -> None:
    for kind in node_types(CLUSTERS / "gcp.yaml").values():
        assert not list(gcp_mistakes(kind["node_config"]))
    assert list(gcp_mistakes({"machineTipe": "n2-standard-2"})) == ["Instance.machineTipe: unknown"]
    assert list(gcp_mistakes({"disks": [{"initializeParams": {"diskSize": 1}}]}))
    assert list(gcp_mistakes({"scheduling": {"provisioningModel": "SPOTTY"}}))


@pytest.mark.parametrize("file", KUBERAY, ids=lambda file: file.stem)
def test_kubernetes_gets_a_cluster_whose_pods_share_the_runs(file: Path) -> None:
    tree = read(file)
    assert tree["apiVersion"] == "ray.io/v1"
    spec = tree["spec"]
    if tree["kind"] == "RayJob":
        assert set(spec) == RAY_JOB and spec["shutdownAfterJobFinishes"]
        spec = spec["rayClusterSpec"]
    assert set(spec) == RAY_CLUSTER | {"workerGroupSpecs"}
    assert spec["rayVersion"] == version("ray") and spec["authOptions"] == {"mode": "token"}
    (workers,) = spec["workerGroupSpecs"]
    assert set(workers) == WORKERS and workers["minReplicas"] == 0
    for group in (spec["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["limits"] == container["resources"]["requests"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_slurm_gets_a_script_that_bash_can_read() -> None:
    script = CLUSTERS / "slurm.sh"
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    directives = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert directives and all("=" in line and line.startswith("#SBATCH --") for line in directives)
