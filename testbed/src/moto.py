"""Prepares and reads load balancers; called by the rig with ENDPOINT REGION VERB ARGS."""

import json
import sys

import boto3

endpoint, region, verb, *args = sys.argv[1:]


def client(service):
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="testbed",
        aws_secret_access_key="testbed",
    )


def run_instance():
    images = client("ec2").describe_images(Owners=["amazon"])["Images"]
    made = client("ec2").run_instances(ImageId=images[0]["ImageId"], MinCount=1, MaxCount=1)
    return made["Instances"][0]["InstanceId"]


def create_load_balancer(name):
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
    made = client("elb").create_load_balancer(
        LoadBalancerName=name, Listeners=[listener], AvailabilityZones=[region + "a"]
    )
    return made["DNSName"]


def instances(name):
    found = client("elb").describe_load_balancers(LoadBalancerNames=[name])
    return [i["InstanceId"] for i in found["LoadBalancerDescriptions"][0]["Instances"]]


def register(name, *ids):
    members = [{"InstanceId": i} for i in ids]
    client("elb").register_instances_with_load_balancer(LoadBalancerName=name, Instances=members)


def deregister(name, *ids):
    members = [{"InstanceId": i} for i in ids]
    client("elb").deregister_instances_from_load_balancer(LoadBalancerName=name, Instances=members)


def health(name, *ids):
    members = [{"InstanceId": i} for i in ids]
    found = client("elb").describe_instance_health(LoadBalancerName=name, Instances=members)
    return found["InstanceStates"]


def attributes(name):
    found = client("elb").describe_load_balancer_attributes(LoadBalancerName=name)
    return found["LoadBalancerAttributes"]


def descriptions(*names):
    pages = client("elb").get_paginator("describe_load_balancers")
    found = pages.paginate(LoadBalancerNames=list(names)).build_full_result()
    return [dict(d, CreatedTime=str(d["CreatedTime"])) for d in found["LoadBalancerDescriptions"]]


VERBS = [
    run_instance,
    create_load_balancer,
    instances,
    register,
    deregister,
    health,
    attributes,
    descriptions,
]
print(json.dumps({verb.__name__: verb for verb in VERBS}[verb](*args)))
