"""Each cluster file is what Ray, AWS, Google Cloud, Kubernetes or Slurm take, as far as that can be known offline."""

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import googleapiclient
import kubernetes.client
import moto
import pytest
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]
CLUSTERS = ROOT / "configs" / "clusters"
LAUNCHED = [ROOT / "cluster.yaml", CLUSTERS / "gcp.yaml", CLUSTERS / "on-premises.yaml"]
KUBERAY = [CLUSTERS / "kuberay.yaml", CLUSTERS / "kuberay-job.yaml"]

# The ray.io/v1 API of KubeRay 1.7: its fields, by the name of their type. A capital one is in this table, V1… is
# Kubernetes' own. From raycluster_types.go and rayjob_types.go in ray-operator/apis/ray/v1 of ray-project/kuberay, and
# the reference of that API in Ray's documentation.
MAP, STRINGS = "Dict[str, str]", "List[str]"
KUBERAY_API = {
    "RayCluster": {"apiVersion": "str", "kind": "str", "metadata": "V1ObjectMeta", "spec": "RayClusterSpec"},
    "RayJob": {"apiVersion": "str", "kind": "str", "metadata": "V1ObjectMeta", "spec": "RayJobSpec"},
    "RayClusterSpec": {
        **dict.fromkeys(("rayVersion", "managedBy"), "str"),
        **dict.fromkeys(("enableInTreeAutoscaling", "suspend"), "bool"),
        "headServiceAnnotations": MAP,
        "autoscalerOptions": "AutoscalerOptions",
        "authOptions": "AuthOptions",
        "upgradeStrategy": "UpgradeStrategy",
        "headGroupSpec": "HeadGroupSpec",
        "workerGroupSpecs": "List[WorkerGroupSpec]",
    },
    "AuthOptions": {"mode": "str", "secretName": "str", "enableK8sTokenAuth": "bool"},
    "UpgradeStrategy": {"type": "str"},
    "AutoscalerOptions": {
        **dict.fromkeys(("image", "imagePullPolicy", "upscalingMode", "version"), "str"),
        "idleTimeoutSeconds": "int",
        "resources": "V1ResourceRequirements",
        "securityContext": "V1SecurityContext",
        "env": "List[V1EnvVar]",
        "envFrom": "List[V1EnvFromSource]",
        "volumeMounts": "List[V1VolumeMount]",
    },
    "HeadGroupSpec": {
        **dict.fromkeys(("rayStartParams", "resources", "labels"), MAP),
        "template": "V1PodTemplateSpec",
        "headService": "V1Service",
        "enableIngress": "bool",
        "serviceType": "str",
    },
    "WorkerGroupSpec": {
        **dict.fromkeys(("replicas", "minReplicas", "maxReplicas", "numOfHosts", "idleTimeoutSeconds"), "int"),
        **dict.fromkeys(("rayStartParams", "resources", "labels"), MAP),
        "groupName": "str",
        "priority": "int",
        "suspend": "bool",
        "template": "V1PodTemplateSpec",
        "scaleStrategy": "ScaleStrategy",
    },
    "ScaleStrategy": {"workersToDelete": STRINGS},
    "RayJobSpec": {
        **dict.fromkeys(("entrypoint", "runtimeEnvYAML", "jobId", "submissionMode", "managedBy"), "str"),
        **dict.fromkeys(("activeDeadlineSeconds", "preRunningDeadlineSeconds", "backoffLimit"), "int"),
        **dict.fromkeys(("entrypointNumCpus", "entrypointNumGpus"), "float"),
        **dict.fromkeys(("metadata", "clusterSelector"), MAP),
        **dict.fromkeys(("suspend", "shutdownAfterJobFinishes"), "bool"),
        "ttlSecondsAfterFinished": "int",
        "entrypointResources": "str",
        "submitterPodTemplate": "V1PodTemplateSpec",
        "submitterConfig": "SubmitterConfig",
        "rayClusterSpec": "RayClusterSpec",
    },
    "SubmitterConfig": {"backoffLimit": "int"},
}
PLAIN: dict[str, type | tuple[type, ...]] = {"str": str, "bool": bool, "int": int, "float": (int, float)}


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


def kubernetes_mistakes(value: Any, kind: str, path: str = "") -> Iterator[str]:
    """Names that Kubernetes' or KubeRay's type of this kind lacks, values of another type, and what is missing."""
    if inside := re.fullmatch(r"List\[(.*)\]", kind):
        for item in value if isinstance(value, list) else ():
            yield from kubernetes_mistakes(item, inside[1], f"{path}[]")
    elif inside := re.fullmatch(r"Dict\[str, (.*)\]", kind):
        for key, item in value.items() if isinstance(value, dict) else ():
            quantity = isinstance(item, int) and path.endswith(("limits", "requests"))  # 1 is "1" there
            yield from () if quantity else kubernetes_mistakes(item, inside[1], f"{path}.{key}")
    if kind in PLAIN or kind.startswith(("List", "Dict")):
        wanted = PLAIN.get(kind, list if kind.startswith("List") else dict)
        if not isinstance(value, wanted) or (kind == "int" and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {kind}"
        return
    model = getattr(kubernetes.client, kind, None)
    if model is not None and not isinstance(value, dict):
        yield f"{path}: {value!r} is no {kind}"
        return
    types, required = KUBERAY_API.get(kind, {}), []
    if model is not None:
        types = {model.attribute_map[name]: below for name, below in model.openapi_types.items()}
        required = [model.attribute_map[name] for name, field in model.model_fields.items() if field.is_required()]
    assert types, kind
    for key, item in value.items():
        if key in types:
            yield from kubernetes_mistakes(item, types[key], f"{path}.{key}")
        else:
            yield f"{path}.{key}: unknown"
    yield from (f"{path}.{key}: missing" for key in required if key not in value)


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


@moto.mock_aws
def test_aws_makes_the_bucket_and_the_profiles_that_the_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    template = (CLUSTERS / "aws-storage.yaml").read_text()
    boto3.client("cloudformation", "us-east-1").create_stack(StackName="babeltune", TemplateBody=template)
    (bucket,) = [bucket["Name"] for bucket in boto3.client("s3", "us-east-1").list_buckets()["Buckets"]]
    assert re.fullmatch(r"babeltune-\d+-us-east-1", bucket)
    iam = boto3.client("iam", "us-east-1")
    named = {kind["node_config"]["IamInstanceProfile"]["Name"] for kind in node_types(ROOT / "cluster.yaml").values()}
    made = {profile["InstanceProfileName"]: profile for profile in iam.list_instance_profiles()["InstanceProfiles"]}
    assert named == made.keys()
    role = made["babeltune-worker"]["Roles"][0]["RoleName"]
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    allowed = {action for rule in document["Statement"] for action in listed(rule["Action"])}
    assert {action.split(":")[0] for action in allowed} == {"s3"}
    places = [place for rule in document["Statement"] for place in listed(rule["Resource"])]
    assert places == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


ACCOUNT = "123456789012"  # moto's
REGION = "us-east-1"
# What RunInstances touches besides the instances, by AWS's service authorization reference; with spot machines.
PARTS = ("image", "key-pair", "network-interface", "security-group", "spot-instances-request", "subnet", "volume")
Request = tuple[str, str, dict[str, str]]  # action, resource, and what is known of both


def is_allowed(statements: list[dict[str, Any]], request: Request) -> bool:
    """Whether one of the statements, all of which allow something, fits the request: IAM's rules as far as needed."""
    action, resource, facts = request
    same: dict[str, Callable[[str, str], bool]] = {"StringEquals": str.__eq__, "StringLike": fnmatchcase}

    def holds(conditions: dict[str, dict[str, str]]) -> bool:
        checks = [(same[kind], *check) for kind, below in conditions.items() for check in below.items()]
        return all(key in facts and compare(facts[key], wanted) for compare, key, wanted in checks)

    assert all(rule["Effect"] == "Allow" for rule in statements)
    return any(
        any(fnmatchcase(action, pattern) for pattern in listed(rule["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in listed(rule["Resource"]))
        and holds(rule.get("Condition", {}))
        for rule in statements
    )


def instance(number: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{number}"


def requests_of(call: str, params: dict[str, Any], tags: dict[str, dict[str, str]]) -> Iterator[Request]:
    """What a call asks for. tags: of each instance."""
    if call == "RunInstances":
        (given,) = params["TagSpecifications"]
        facts = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in given["Tags"]}
        yield f"ec2:{call}", instance("new"), facts
        yield "ec2:CreateTags", instance("new"), {**facts, "ec2:CreateAction": call}
        yield from (
            (f"ec2:{call}", f"arn:aws:ec2:{REGION}:{ACCOUNT}:{part}/x", {}) for part in PARTS if part != "image"
        )
        yield f"ec2:{call}", f"arn:aws:ec2:{REGION}::image/{params['ImageId']}", {}
        role = f"arn:aws:iam::{ACCOUNT}:role/{params['IamInstanceProfile']['Name']}"
        yield "iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}
        return
    for number in params.get("Resources") or (params.get("InstanceIds", []) if call == "TerminateInstances" else []):
        yield f"ec2:{call}", instance(number), {f"aws:ResourceTag/{k}": v for k, v in tags.get(number, {}).items()}
    if call.startswith("Describe"):
        yield f"ec2:{call}", "*", {}


@moto.mock_aws
def test_the_head_may_do_what_ray_does_and_nothing_to_machines_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    template = (CLUSTERS / "aws-storage.yaml").read_text()
    boto3.client("cloudformation", REGION).create_stack(StackName="babeltune", TemplateBody=template)
    iam, ec2 = boto3.client("iam", REGION), boto3.client("ec2", REGION)
    assert iam.list_attached_role_policies(RoleName="babeltune-head")["AttachedPolicies"] == []
    policies = iam.list_role_policies(RoleName="babeltune-head")["PolicyNames"]
    documents = [iam.get_role_policy(RoleName="babeltune-head", PolicyName=name)["PolicyDocument"] for name in policies]
    rights = [rule for document in documents for rule in document["Statement"]]
    config = read(ROOT / "cluster.yaml")
    (image, *_) = ec2.describe_images(Owners=["amazon"])["Images"]
    (subnet, *_) = ec2.describe_subnets()["Subnets"]
    for kind in config["available_node_types"].values():
        kind["node_config"] |= {"ImageId": image["ImageId"], "SubnetIds": [subnet["SubnetId"]]}

    calls: list[tuple[str, dict[str, Any]]] = []
    provider: Any = AWSNodeProvider(config["provider"], config["cluster_name"])  # type: ignore[no-untyped-call]
    for client in (provider.ec2.meta.client, provider.ec2_fail_fast.meta.client):
        client.meta.events.register(
            "provide-client-params.ec2.*", lambda params, model, **_: calls.append((model.name, dict(params)))
        )
    for kind in ("l4_spot", "l4_on_demand"):
        worker = config["available_node_types"][kind]["node_config"]
        provider.create_node(worker, {"ray-node-type": "worker", "ray-node-name": f"ray-babeltune-{kind}"}, 1)
    nodes = provider.non_terminated_nodes({"ray-node-type": "worker"})
    assert len(nodes) == 2
    tags = {node: {**provider.node_tags(node)} for node in nodes}
    provider.set_node_tags(nodes[0], {"ray-node-status": "up-to-date"})
    provider.terminate_nodes(nodes)
    made = {name for name, _ in calls}
    assert made >= {"RunInstances", "CreateTags", "TerminateInstances", "DescribeInstances"}, made
    calls += [("DescribeInstanceTypes", {}), ("DescribeSubnets", {})]  # of `ray down`, by --teardown
    asked = [request for call, params in calls for request in requests_of(call, params, tags)]
    assert not [request for request in asked if not is_allowed(rights, request)]

    of_others = {"aws:ResourceTag/ray-cluster-name": "payroll", "aws:RequestTag/ray-cluster-name": "payroll"}
    started, passed = {"ec2:CreateAction": "RunInstances"}, {"iam:PassedToService": "ec2.amazonaws.com"}
    actions = ("ec2:TerminateInstances", "ec2:CreateTags", "ec2:RunInstances")
    assert not [
        request
        for request in [
            *((action, instance("i-1"), facts) for action in actions for facts in ({}, of_others)),
            ("ec2:CreateTags", f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/v-1", started),
            ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/babeltune-head", passed),
            ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/somebody", {}),
            ("ec2:DescribeInstanceAttribute", "*", {}),  # where machines of others keep their start scripts
            ("ec2:AuthorizeSecurityGroupIngress", f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/x", {}),
            ("s3:GetObject", "arn:aws:s3:::payroll/all", {}),
        ]
        if is_allowed(rights, request)
    ]


def test_google_cloud_takes_each_node_and_a_typo_is_found() -> None:
    for kind in node_types(CLUSTERS / "gcp.yaml").values():
        assert not list(gcp_mistakes(kind["node_config"]))
    assert list(gcp_mistakes({"machineTipe": "n2-standard-2"})) == ["Instance.machineTipe: unknown"]
    assert list(gcp_mistakes({"disks": [{"initializeParams": {"diskSize": 1}}]}))
    assert list(gcp_mistakes({"scheduling": {"provisioningModel": "SPOTTY"}}))


@pytest.mark.parametrize("file", KUBERAY, ids=lambda file: file.stem)
def test_kubernetes_takes_the_file_and_its_pods_share_the_runs(file: Path) -> None:
    tree = read(file)
    assert list(kubernetes_mistakes(tree, tree["kind"])) == []
    assert tree["apiVersion"] == "ray.io/v1"
    spec = tree["spec"]
    if tree["kind"] == "RayJob":
        assert spec["shutdownAfterJobFinishes"]
        spec = spec["rayClusterSpec"]
    assert spec["rayVersion"] == version("ray") and spec["authOptions"] == {"mode": "token"}
    (workers,) = spec["workerGroupSpecs"]
    assert workers["minReplicas"] == 0
    for group in (spec["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["limits"] == container["resources"]["requests"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1


def mappings(tree: Any) -> Iterator[dict[str, Any]]:
    """All that a file holds, but for those whose keys are free."""
    for key, below in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        if key not in ("rayStartParams", "limits", "requests"):
            yield from mappings(below)
    if isinstance(tree, dict):
        yield tree


@pytest.mark.parametrize("file", KUBERAY, ids=lambda file: file.stem)
def test_a_typo_anywhere_in_a_file_for_kubernetes_is_found(file: Path) -> None:
    tree = read(file)
    tried = 0
    for mapping in mappings(tree):
        for key in list(mapping):
            mapping[f"{key}x"] = mapping.pop(key)
            assert any(f"{key}x: unknown" in mistake for mistake in kubernetes_mistakes(tree, read(file)["kind"])), key
            mapping[key] = mapping.pop(f"{key}x")
            tried += 1
    assert tried > 40
    container = read(file)
    spec = container["spec"].get("rayClusterSpec", container["spec"])
    spec["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = "yes"
    del spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["name"]
    (wrong, missing) = kubernetes_mistakes(container, container["kind"])
    assert wrong.endswith("volumeMounts[].readOnly: 'yes' is no bool") and missing.endswith(
        "containers[].name: missing"
    )


def test_slurm_gets_a_script_that_bash_can_read() -> None:
    script = CLUSTERS / "slurm.sh"
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    directives = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert directives and all("=" in line and line.startswith("#SBATCH --") for line in directives)
